/** Every handler there is, for the router. The contract's part of it is complete by its types. */
import type { Mounted } from "../app";
import { apiKeyRoutes } from "./api-keys";
import { auditRoutes } from "./audits";
import { burnTableRoutes } from "./burn-tables";
import { clockRoutes } from "./clock";
import { correctionRoutes } from "./corrections";
import { customerRoutes } from "./customers";
import { deadLetterRoutes } from "./dead-letters";
import { debugRoutes } from "./debug";
import { eventListRoutes } from "./event-lists";
import { eventRoutes } from "./events";
import { featureCostRoutes } from "./feature-costs";
import { featureRoutes } from "./features";
import { infoRoutes } from "./info";
import { localRoutes } from "./local";
import { meterRoutes } from "./meters";
import { namespaceRoutes } from "./namespaces";
import { otlpRoutes } from "./otlp";
import { portalRoutes } from "./portal";
import { portalTokenRoutes } from "./portal-tokens";
import { statusRoutes } from "./status";
import { subjectRoutes } from "./subjects";
import { systemRoutes } from "./system";
import { trackRoutes } from "./track";
import { walletRoutes } from "./wallets";

export const routes: Mounted[] = [
  ...eventRoutes,
  ...eventListRoutes,
  ...trackRoutes,
  ...otlpRoutes,
  ...walletRoutes,
  ...correctionRoutes,
  ...meterRoutes,
  ...featureRoutes,
  ...featureCostRoutes,
  ...customerRoutes,
  ...subjectRoutes,
  ...portalTokenRoutes,
  ...portalRoutes,
  ...systemRoutes,
  ...namespaceRoutes,
  ...apiKeyRoutes,
  ...clockRoutes,
  ...burnTableRoutes,
  ...deadLetterRoutes,
  ...auditRoutes,
  ...statusRoutes,
  ...infoRoutes,
  ...debugRoutes,
  ...localRoutes,
];
