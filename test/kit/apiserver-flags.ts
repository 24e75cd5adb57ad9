/** How etcd and the API servers of tests are told what to do. */

import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { ApiServerBinaries } from './apiserver-binaries.ts';
import type { Certificate } from './certificate.ts';

/** Of etcd, which keeps its data in `folder`. */
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

/** Of either API server. */
export function commonFlags(folder: string, etcdPort: string, port: string): string[] {
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
    `--client-ca-file=${join(folder, 'admin.crt')}`,
    '--profiling=false',
  ];
}

/** Streaming lists need an etcd that reports progress on request; older ones answer a watch with an error. */
export function featureFlags({ etcdVersion }: ApiServerBinaries): string[] {
  const [, minor = 0, patch = 0] = etcdVersion.split('.').map(Number);
  const canStream = minor > 5 || (minor === 5 && patch >= 13) || (minor === 4 && patch >= 31);
  return canStream ? [] : ['--feature-gates=WatchList=false'];
}

/** Of apiextensions-apiserver, which believes that another server knows users and rights. */
export function smallFlags(kubeconfig: string): string[] {
  const webhooks = 'MutatingAdmissionWebhook,ValidatingAdmissionWebhook';
  const policies = 'ValidatingAdmissionPolicy,MutatingAdmissionPolicy';
  return [
    '--authentication-skip-lookup',
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    `--kubeconfig=${kubeconfig}`,
    '--enable-priority-and-fairness=false',
    `--disable-admission-plugins=NamespaceLifecycle,${webhooks},${policies}`,
  ];
}

/** Of kube-apiserver. */
export async function fullFlags(folder: string): Promise<string[]> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [publicFile, privateFile] = [join(folder, 'sa.pub'), join(folder, 'sa.key')];
  await writeFile(publicFile, publicKey.export({ type: 'spki', format: 'pem' }));
  await writeFile(privateFile, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  return [
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/16',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${publicFile}`,
    `--service-account-signing-key-file=${privateFile}`,
    '--disable-admission-plugins=ServiceAccount',
    '--endpoint-reconciler-type=none',
  ];
}

/** A kubeconfig for the holder of a certificate; `ca` is empty while the server has none. */
export function kubeconfigOf(url: string, { certificate, key }: Certificate, ca: string): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const cluster = { server: url, ...(ca === '' ? {} : { 'certificate-authority-data': base64(ca) }) };
  const user = { 'client-certificate-data': base64(certificate), 'client-key-data': base64(key) };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'admin', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });
}
