/** Command line flags and configuration of etcd, the API server and the controllers of tests. */

import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { ApiServerBinaries } from './apiserver-binaries.ts';
import type { Certificate } from './certificate.ts';

/** Flags of etcd, which keeps its data in `folder`. */
export function etcdFlags(folder: string, port: string, peerPort: string): string[] {
  const [client, peer] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
  return [
    `--data-dir=${join(folder, 'etcd')}`,
    '--unsafe-no-fsync',
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
  ];
}

/**
 * Flags of kube-apiserver. Pods get the tokens of service accounts only where a controller makes the accounts; without one no
 * pod would be admitted.
 */
export async function apiServerFlags(
  folder: string,
  ports: { readonly etcd: string; readonly server: string },
  hasControllers: boolean,
): Promise<string[]> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [publicFile, privateFile] = [join(folder, 'sa.pub'), join(folder, 'sa.key')];
  await writeFile(publicFile, publicKey.export({ type: 'spki', format: 'pem' }));
  await writeFile(privateFile, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${ports.server}`,
    `--cert-dir=${folder}`,
    `--client-ca-file=${join(folder, 'admin.crt')}`,
    '--profiling=false',
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${publicFile}`,
    `--service-account-signing-key-file=${privateFile}`,
    ...(hasControllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
    '--endpoint-reconciler-type=none',
  ];
}

/** Streaming lists need an etcd that reports progress on request; older ones answer a watch with an error. */
export function featureFlags({ etcdVersion }: ApiServerBinaries): string[] {
  const [, minor = 0, patch = 0] = etcdVersion.split('.').map(Number);
  const canStream = minor > 5 || (minor === 5 && patch >= 13) || (minor === 4 && patch >= 31);
  return canStream ? [] : ['--feature-gates=WatchList=false'];
}

/** Controllers that workloads, their services and their removal need. There is no scheduler and no kubelet. */
const controllers = [
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'horizontal-pod-autoscaler-controller',
  'disruption-controller',
  'resourcequota-controller',
  'namespace-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
  'clusterrole-aggregation-controller',
];

/** Flags of kube-controller-manager, whose user may do everything: its own role lacks the rights of each controller. */
export function controllerFlags(folder: string, kubeconfig: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--controllers=${controllers.join(',')}`,
    `--root-ca-file=${join(folder, 'apiserver.crt')}`,
    '--leader-elect=false',
    '--use-service-account-credentials=false',
    '--horizontal-pod-autoscaler-sync-period=1s',
    '--bind-address=127.0.0.1',
    '--secure-port=0',
    '--profiling=false',
  ];
}

/** Credentials of the user of a kubeconfig. */
export type Credentials = Certificate | { readonly token: string };

/** A kubeconfig. */
export function kubeconfigOf(url: string, credentials: Credentials, ca: string): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const cluster = { server: url, 'certificate-authority-data': base64(ca) };
  const user =
    'token' in credentials
      ? credentials
      : {
          'client-certificate-data': base64(credentials.certificate),
          'client-key-data': base64(credentials.key),
        };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'admin', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });
}
