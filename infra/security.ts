/** The security contexts of every pod: what the Pod Security profile `restricted` requires, with a read-only root. */
import type * as k8s from 'cdk8s-plus-28/lib/imports/k8s.js';

/** The security context of a pod. The image specifies its user by number. */
export const podSecurity: k8s.PodSecurityContext = {
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** The security context of a container. */
export const containerSecurity: k8s.SecurityContext = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  privileged: false,
  readOnlyRootFilesystem: true,
};
