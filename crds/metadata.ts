/** The part of an object's metadata that hydrogen reads. Anything else that a cluster puts there is kept unchecked. */
import { Type } from 'typebox';

import { defaultNamespace } from './contract.ts';
import type { Metadata } from './resources.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import { Fields, FreeText, Integer, StringMap, Text, withDefault } from './schema.ts';

/** Longest name of an object, in characters: with its suffixes, the name of a child must still be a DNS label. */
const maxNameLength = 52;

/** A DNS label that is valid as the name of a service: it begins with a letter. */
const namePattern = '^[a-z]([-a-z0-9]*[a-z0-9])?$';

/** Schema of `metadata`, for `parse` alone: a CRD leaves metadata to the API server. */
export const metadata = Type.With(
  Fields(
    {
      name: FreeText(253, { description: 'Name of the object.' }),
      namespace: withDefault(Text('dnsLabel', { description: 'Namespace of the object.' }), defaultNamespace),
      labels: Type.Optional(StringMap(Text('labelValue'), { description: 'Labels.', maxProperties: 1024 })),
      annotations: Type.Optional(StringMap(FreeText(262144), { description: 'Annotations.', maxProperties: 1024 })),
      uid: Type.Optional(FreeText(128, { description: 'Unique id of the object in its cluster.' })),
      generation: Type.Optional(
        Integer(0, Number.MAX_SAFE_INTEGER, { description: 'Generation of the spec in the cluster.' }),
      ),
    },
    { description: 'Metadata of the object.' },
  ),
  { 'x-kubernetes-preserve-unknown-fields': true },
);

/** The rule for the name of every kind. */
export const metadataRules: readonly CrossFieldRule[] = [
  rule<{ metadata: Metadata }>({
    path: '',
    field: 'metadata.name',
    reads: ['metadata.name'],
    rule: `self.metadata.name.size() <= ${maxNameLength} && self.metadata.name.matches('${namePattern}')`,
    message: `must be at most ${maxNameLength} lower-case letters, digits and '-', beginning with a letter and not ending with '-', is {metadata.name}`,
    check: (self) => self.metadata.name.length <= maxNameLength && new RegExp(namePattern).test(self.metadata.name),
  }),
];
