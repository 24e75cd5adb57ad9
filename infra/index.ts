/** The constructs of hydrogen, the types of their specs, and the functions that turn documents into objects. */
export { parseDocuments } from '../crds/documents.ts';
export { type DocumentIssue, InvalidDocuments } from '../crds/invalid.ts';
export { parse } from '../crds/parse.ts';
export type {
  HydrogenGatewayInput,
  HydrogenGroupInput,
  HydrogenMessageProcessorInput,
  MetadataInput,
  Resource,
} from '../crds/resources.ts';
export type {
  HydrogenGatewayMemberSpec,
  HydrogenGatewaySpec,
  HydrogenGatewaySpecInput,
} from '../crds/types/gateway.ts';
export type { HydrogenGroupSpec, HydrogenGroupSpecInput } from '../crds/types/group.ts';
export type {
  HydrogenMessageProcessorMemberSpec,
  HydrogenMessageProcessorSpec,
  HydrogenMessageProcessorSpecInput,
} from '../crds/types/processor.ts';
export {
  argoHealthData,
  defaultArgoNamespace,
  HydrogenArgoHealth,
  type HydrogenArgoHealthProps,
} from './argo-health.ts';
export { crdObjects, operatorObjects } from './bundles.ts';
export { HydrogenCrds, type HydrogenCrdsProps } from './crds.ts';
export { HydrogenGateway, type HydrogenGatewayProps } from './gateway.ts';
export { HydrogenGroup, type HydrogenGroupProps } from './group.ts';
export { defaultImage, natsImage } from './image.ts';
export type { Labels } from './labels.ts';
export { type GroupSource, HydrogenMember, type MemberProps } from './member.ts';
export type { ServiceMonitorOptions } from './monitor.ts';
export { defaultOperatorNamespace, HydrogenOperator, type HydrogenOperatorProps } from './operator.ts';
export { HydrogenMessageProcessor, type HydrogenMessageProcessorProps } from './processor.ts';
export { type RenderImages, renderAll, renderGateway, renderGroup, renderProcessor } from './render.ts';
export {
  HydrogenGatewayResource,
  HydrogenGroupResource,
  HydrogenMessageProcessorResource,
  type ResourceMetadata,
  type ResourceProps,
} from './resource.ts';
export { type Manifest, toYaml } from './yaml.ts';
