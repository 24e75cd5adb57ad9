/** The pods of a gateway or message processor: their template and their number. */
import { Type } from 'typebox';

import { environmentVariable, valueRule } from './fragments.ts';
import { type CrossFieldRule, rule } from './rules.ts';
import {
  Fields,
  FreeText,
  Integer,
  List,
  ListMap,
  Opaque,
  Quantity,
  StringEnum,
  StringMap,
  Text,
  withDefault,
} from './schema.ts';

const quantities = (description: string) => Type.Optional(StringMap(Quantity(), { description, maxProperties: 16 }));

const toleration = Fields(
  {
    key: Type.Optional(FreeText(317, { description: 'Taint key; absent with operator Exists: every key.' })),
    operator: Type.Optional(StringEnum(['Exists', 'Equal'], { description: 'How key and value are compared.' })),
    value: Type.Optional(FreeText(63, { description: 'Taint value, for operator Equal.' })),
    effect: Type.Optional(
      StringEnum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'], {
        description: 'Taint effect; absent: every effect.',
      }),
    ),
    tolerationSeconds: Type.Optional(
      Integer(0, 2147483647, { description: 'Seconds for which a NoExecute taint is tolerated; absent: forever.' }),
    ),
  },
  { description: 'One toleration.' },
);

/** The field `template`. */
export const template = withDefault(
  Fields(
    {
      image: Type.Optional(
        FreeText(1024, {
          minLength: 1,
          description: 'Container image. Default: the image of this release of hydrogen.',
        }),
      ),
      imagePullPolicy: withDefault(
        StringEnum(['Always', 'IfNotPresent', 'Never'], {
          description: 'When the image is pulled. Default IfNotPresent.',
        }),
        'IfNotPresent',
      ),
      resources: Type.Optional(
        Fields(
          {
            requests: quantities('Resources that a container is guaranteed, such as cpu and memory.'),
            limits: quantities('Resources that a container cannot exceed.'),
          },
          { description: 'Resources of the container. Absent: the defaults of this release of hydrogen.' },
        ),
      ),
      nodeSelector: Type.Optional(
        StringMap(Text('labelValue'), { description: 'Labels that a node must have.', maxProperties: 32 }),
      ),
      tolerations: Type.Optional(
        List(toleration, { description: 'Node taints that the pods tolerate.', maxItems: 32 }),
      ),
      affinity: Type.Optional(
        Opaque({ description: 'Affinity of the pods, as in a PodSpec. Absent: replicas are spread over nodes.' }),
      ),
      labels: Type.Optional(
        StringMap(Text('labelValue'), {
          description: 'Additional labels of the pods. Labels that hydrogen sets take precedence.',
          maxProperties: 32,
        }),
      ),
      annotations: Type.Optional(
        StringMap(FreeText(8192), { description: 'Additional annotations of the pods.', maxProperties: 32 }),
      ),
      env: Type.Optional(
        ListMap(['name'], environmentVariable, {
          description: 'Additional environment variables of the container.',
          maxItems: 64,
        }),
      ),
    },
    { description: 'Changes to the pods that hydrogen creates.' },
  ),
  {},
);

/** The field `replicas`. */
export const replicas = withDefault(
  Integer(0, 1000, {
    description: 'Number of pods. Ignored while autoscaling is set. Default 1.',
  }),
  1,
);

/** The field `autoscaling`. */
export const autoscaling = Type.Optional(
  Fields(
    {
      minReplicas: withDefault(Integer(1, 1000, { description: 'Minimum number of pods. Default 1.' }), 1),
      maxReplicas: Integer(1, 1000, { description: 'Maximum number of pods.' }),
      targetCPUUtilizationPercentage: withDefault(
        Integer(1, 100, {
          description: 'Target average CPU use, as a percentage of the CPU request. Default 60.',
        }),
        60,
      ),
    },
    { description: 'Lets a HorizontalPodAutoscaler set the number of pods. Absent: replicas sets it.' },
  ),
);

/** The rules for `autoscaling` and `template`. */
export const workloadRules: readonly CrossFieldRule[] = [
  rule<{ minReplicas: number; maxReplicas: number }>({
    path: 'spec.autoscaling',
    field: 'minReplicas',
    reads: ['minReplicas', 'maxReplicas'],
    rule: 'self.minReplicas <= self.maxReplicas',
    message: 'must not exceed maxReplicas ({maxReplicas}), is {minReplicas}',
    check: (self) => self.minReplicas <= self.maxReplicas,
  }),
  valueRule('spec.template.env[*]'),
];
