/** The whole contract: every resource, by name. The router mounts it, openapi.json prints it, the route-walking tests walk it. */
import { apiKeys } from "./api-keys";
import { burnTables } from "./burn-tables";
import { clock } from "./clock";
import { deadLetters } from "./dead-letters";
import { events } from "./events";
import { namespaces } from "./namespaces";
import { status } from "./status";
import { system } from "./system";
import { track } from "./track";
import { wallets } from "./wallets";

export const contract = {
  system,
  namespaces,
  apiKeys,
  clock,
  events,
  track,
  burnTables,
  wallets,
  deadLetters,
  status,
} as const;
