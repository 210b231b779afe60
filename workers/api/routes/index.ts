/** Every handler there is, for the router. The contract's part of it is complete by its types. */
import type { Mounted } from "../app";
import { apiKeyRoutes } from "./api-keys";
import { burnTableRoutes } from "./burn-tables";
import { clockRoutes } from "./clock";
import { deadLetterRoutes } from "./dead-letters";
import { eventRoutes } from "./events";
import { localRoutes } from "./local";
import { namespaceRoutes } from "./namespaces";
import { statusRoutes } from "./status";
import { systemRoutes } from "./system";
import { trackRoutes } from "./track";
import { walletRoutes } from "./wallets";

export const routes: Mounted[] = [
  ...eventRoutes,
  ...trackRoutes,
  ...walletRoutes,
  ...systemRoutes,
  ...namespaceRoutes,
  ...apiKeyRoutes,
  ...clockRoutes,
  ...burnTableRoutes,
  ...deadLetterRoutes,
  ...statusRoutes,
  ...localRoutes,
];
