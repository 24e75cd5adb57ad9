/** Publishes what this process reports: after each change, on each connection, and when it is asked. */

import { encodeReport, type ReportSource } from '../port/reports.ts';
import type { NatsCore } from './core.ts';

export function serveReports({ link, subjects, entrySizes }: NatsCore, source: ReportSource): void {
  const tell = (): void => {
    link.publish(subjects.reports, encodeReport({ ...source.current, messagesPerEntry: entrySizes.mean }));
  };
  source.onChange(tell);
  link.subscribe(subjects.reportsWanted, () => {
    if (source.current.isLeaving !== true) tell();
  });
  link.onStatus((status) => {
    if (status === 'up') tell();
  });
}
