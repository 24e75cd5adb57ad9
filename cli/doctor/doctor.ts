/** `hydrogen doctor`: examines everything that a group's pods need, from where it runs, and says what is wrong and why. */

import { defaultNamespace, paths } from '../../crds/contract.ts';
import { createKube, type Kube } from '../../operator/kube/client.ts';
import { messageOf } from '../../operator/kube/errors.ts';
import { connectKube } from '../kube.ts';
import { type Format, formatted, whileWaiting } from '../output.ts';
import { type Chart, type ChartOptions, chartOfCluster, chartOfFiles, chartOfMember, isInMember } from './chart.ts';
import { countByAssessment, type Diagnosis, exitCodeOf } from './diagnosis.ts';
import { diagnoseEndpoints } from './endpoints.ts';
import { diagnoseNats } from './nats.ts';
import { drawReport, ProgressLine } from './report.ts';
import { diagnoseSecrets } from './secrets.ts';
import { diagnoseServices, servicesIn } from './services.ts';

export interface DoctorOptions extends ChartOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  /** For a program. @default - text for a person */
  readonly output?: Format;
}

/** What is printed, and the exit code. */
export interface DoctorReport {
  readonly text: string;
  readonly exitCode: 0 | 1 | 2;
}

/**
 * @param memberFile where a pod of a gateway or a message processor has its documents
 * @throws {HydrogenError} HYD_CONFIG_INVALID when there is nothing to look at; {ApiError}
 */
export async function doctor(options: DoctorOptions, memberFile: string = paths.config): Promise<DoctorReport> {
  const isOfCluster = options.kubeconfig !== undefined || options.context !== undefined;
  if (options.file === undefined && !isOfCluster && isInMember(memberFile)) {
    return report(await chartOfMember(memberFile), options.output);
  }
  if (options.file !== undefined) {
    const kube = isOfCluster ? connectKube(options) : kubeIfAny(options);
    try {
      return await report(await chartOfFiles(options, kube), options.output);
    } finally {
      if (typeof kube === 'object') kube.close();
    }
  }
  const kube = connectKube(options);
  try {
    const namespace = options.namespace ?? kube.namespace ?? defaultNamespace;
    const chart = chartOfCluster(kube, namespace, options.secrets);
    return await report(await whileWaiting(`the cluster at ${kube.server}`, chart), options.output);
  } finally {
    kube.close();
  }
}

/** The cluster of the user, or why there is none: files can be examined without one. */
function kubeIfAny(options: DoctorOptions): Kube | string {
  try {
    return createKube(options);
  } catch (error) {
    return messageOf(error);
  }
}

async function report(chart: Chart, output: Format | undefined): Promise<DoctorReport> {
  const progress = new ProgressLine(process.stderr);
  const diagnoses = await diagnoseAll(chart, (subject) => progress.show(subject));
  progress.clear();
  const { source } = chart;
  const summary = countByAssessment(diagnoses);
  const text = output === undefined ? drawReport(source, diagnoses) : formatted({ source, summary, diagnoses }, output);
  return { text, exitCode: exitCodeOf(diagnoses) };
}

/** Everything, in the order of the documents; nothing waits for anything else. */
async function diagnoseAll(chart: Chart, onStart: (subject: string) => void): Promise<Diagnosis[]> {
  const { groups, gateways, processors, readSecret } = chart;
  const users = [...groups, ...gateways.map(({ gateway }) => gateway), ...processors.map(({ processor }) => processor)];
  const [secrets, nats, services] = await Promise.all([
    diagnoseSecrets(users, readSecret),
    Promise.all(
      groups.map((group) => {
        const ofGroup = <Member extends { readonly group: unknown }>(one: Member): boolean => one.group === group;
        const members = { group, gateways: gateways.filter(ofGroup), processors: processors.filter(ofGroup) };
        return diagnoseNats(members, readSecret, onStart);
      }),
    ),
    diagnoseServices(servicesIn(chart), onStart),
  ]);
  const endpoints = chart.isWhole ? diagnoseEndpoints(chart) : [];
  return [...chart.invalid, ...nats.flat(), ...secrets, ...endpoints, ...services];
}
