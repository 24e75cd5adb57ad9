/**
 * Refuses to delete the definitions of the custom resources while the operator is installed. Deleting a definition deletes
 * every object of its kind, with all pods and stored messages, and cannot be cancelled; `kubectl delete -f` of the file that
 * was installed would do it first.
 */
import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';

import { customResourceDefinitions } from '../crds/manifest.ts';
import { clusterScoped } from './cluster-scoped.ts';
import { type Identity, labelsOf } from './labels.ts';

/** Annotation of a definition that may be deleted nevertheless, with the value `true`. */
export const allowDeletion = 'hydrogen.dev/allow-deletion';

const name = 'hydrogen-definitions';
const apiVersion = 'admissionregistration.k8s.io/v1';

const message =
  'deleting this definition deletes every object of its kind in every namespace, with its pods and waiting messages; ' +
  'delete the objects first, then the operator, then the definition. To delete it nevertheless, annotate it with ' +
  `${allowDeletion}=true`;

/** Adds the policy and its binding. */
export function addDefinitionGuard(scope: Construct, identity: Identity): void {
  const metadata = { name, labels: labelsOf(identity) };
  const spec = {
    failurePolicy: 'Fail',
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: ['apiextensions.k8s.io'],
          apiVersions: ['*'],
          operations: ['DELETE'],
          resources: ['customresourcedefinitions'],
          resourceNames: customResourceDefinitions().map((definition) => definition.metadata.name),
        },
      ],
    },
    validations: [
      { expression: `oldObject.metadata.?annotations[?'${allowDeletion}'].orValue('') == 'true'`, message },
    ],
  };
  const binding = { policyName: name, validationActions: ['Deny'] };
  clusterScoped(new ApiObject(scope, 'Guard', { apiVersion, kind: 'ValidatingAdmissionPolicy', metadata, spec }));
  clusterScoped(
    new ApiObject(scope, 'GuardBinding', {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: binding,
    }),
  );
}
