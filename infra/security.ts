/** The security contexts of every pod: what the PodSecurity profile `restricted` asks for, and a read-only root. */
import type * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';

/** Of a pod. The image names the user, by number. */
export const podSecurity: k8s.PodSecurityContext = {
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** Of a container. */
export const containerSecurity: k8s.SecurityContext = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  privileged: false,
  readOnlyRootFilesystem: true,
};
