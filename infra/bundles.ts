/** The files of `dist/`, as text: what kubectl, kustomize and Argo CD apply as it is. */
import { HydrogenCrds } from './crds.ts';
import { demoNamespace, HydrogenDemo } from './demo.ts';
import { HydrogenOperator, type HydrogenOperatorProps } from './operator.ts';
import { synthesize } from './render.ts';
import { type Manifest, toYaml } from './yaml.ts';

const generated = 'Written by `npm run synth`; changes go into infra/ or crds/.';

/** What readers may want to know before they apply the operator. */
const operatorNote = [
  'docs/operator.md says what it does, which rights it has and why.',
  'Without it, `hydrogen render -f FILE` prints what runs a gateway.',
];

/** The CustomResourceDefinitions. */
export function crdObjects(): Manifest[] {
  return synthesize((chart) => new HydrogenCrds(chart, 'crds'));
}

/** Everything that the operator needs, except for the CustomResourceDefinitions. */
export function operatorObjects(props: HydrogenOperatorProps = {}): Manifest[] {
  return synthesize((chart) => new HydrogenOperator(chart, 'operator', props));
}

/** Every file by name. */
export function bundles(): Readonly<Record<string, string>> {
  const demo = synthesize((chart) => new HydrogenDemo(chart, 'demo'));
  return {
    'crds.yaml': toYaml(crdObjects(), [
      generated,
      'The custom resources of hydrogen: kubectl apply --server-side -f dist/crds.yaml',
    ]),
    'operator.yaml': toYaml(operatorObjects(), [generated, 'The operator, without crds.yaml.', ...operatorNote]),
    'install.yaml': toYaml(
      [...crdObjects(), ...operatorObjects()],
      [
        generated,
        'crds.yaml and operator.yaml in one: kubectl apply --server-side -f dist/install.yaml',
        ...operatorNote,
      ],
    ),
    'kustomization.yaml': toYaml(
      [{ apiVersion: 'kustomize.config.k8s.io/v1beta1', kind: 'Kustomization', resources: ['install.yaml'] }],
      [generated, 'The base of overlays: kubectl kustomize'],
    ),
    'demo.yaml': toYaml(demo, [
      generated,
      'An echo in namespace hydrogen-demo, with a NATS server of its own; it needs neither operator nor CRDs:',
      '  kubectl apply --server-side -f dist/demo.yaml',
      `  kubectl -n ${demoNamespace} port-forward svc/echo-gateway 8080:80    then connect to ws://127.0.0.1:8080/echo`,
    ]),
  };
}
