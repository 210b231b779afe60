/**
 * Holds types.ts and the server's contract together: what the contract promises must fit what the client declares, and what the client
 * may send must be what the server takes. A field that changes on one side alone stops the type check here.
 */
import type { apiKeyView, apiKeys } from "../schema/contract/api-keys";
import type { burnTableInput, burnTableView } from "../schema/contract/burn-tables";
import type { clock } from "../schema/contract/clock";
import type { deadLetterView } from "../schema/contract/dead-letters";
import type { namespaceView } from "../schema/contract/namespaces";
import type { Scope as ContractScope } from "../schema/contract/route";
import type { status } from "../schema/contract/status";
import type { costView, track, trackInput } from "../schema/contract/track";
import type { grantView, transactionView, wallets, walletView } from "../schema/contract/wallets";
import type * as sdk from "./types";

type Out<T extends { _output: unknown }> = T["_output"];
/** Both ways assignable, member by member, with the same members. */
type Same<A, B> = [A] extends [B]
  ? [B] extends [A]
    ? [keyof A] extends [keyof B]
      ? [keyof B] extends [keyof A]
        ? true
        : false
      : false
    : false
  : false;
const holds = <_Claim extends true>(): void => undefined;

// Answers.
holds<Same<Out<typeof walletView>, sdk.WireWallet>>();
holds<Same<Out<typeof costView>, sdk.Cost>>();
holds<Same<Out<typeof grantView>, sdk.Grant>>();
holds<Same<Out<typeof transactionView>, sdk.Transaction>>();
holds<Same<Out<(typeof wallets.verify.replies)[200]["schema"]>, sdk.Verification>>();
holds<Same<Out<typeof burnTableView>, sdk.BurnTable>>();
holds<Same<Out<typeof apiKeyView>, sdk.ApiKey>>();
holds<Same<Out<typeof namespaceView>, sdk.Namespace>>();
holds<Same<Out<(typeof clock.get.replies)[200]["schema"]>, sdk.ClockView>>();
holds<Same<Out<(typeof status.get.replies)[200]["schema"]>, sdk.Status>>();
holds<Same<Out<typeof deadLetterView>, sdk.DeadLetter>>();
holds<Same<Omit<Out<(typeof track.track.replies)[200]["schema"]>, "wallet">, Omit<sdk.TrackResult, "wallet">>>();
holds<Same<Omit<Out<(typeof track.check.replies)[200]["schema"]>, "wallet">, Omit<sdk.CheckResult, "wallet">>>();
holds<Same<ContractScope, sdk.Scope>>();

// Requests: the same fields. Values differ on purpose (a Date or a bigint is written as text), so names are compared.
type Fields<T> = T extends unknown ? keyof T : never;
type Body<T extends { body: { schema: { _output: unknown } } }> = Out<T["body"]["schema"]>;
holds<Same<Fields<Out<typeof trackInput>>, Exclude<Fields<sdk.TrackInput>, "userId">>>();
holds<Same<Fields<Body<typeof track.check>>, Exclude<Fields<sdk.CheckInput>, "userId">>>();
holds<Same<Fields<Body<typeof track.quote>>, Exclude<Fields<sdk.QuoteInput>, "userId">>>();
holds<Same<Fields<Body<typeof wallets.grant>>, Fields<sdk.GrantInput>>>();
holds<Same<Fields<Body<typeof wallets.patch>>, Fields<sdk.WalletPatch>>>();
holds<Same<Fields<Out<typeof burnTableInput>>, Fields<sdk.BurnTableInput>>>();
holds<Same<Fields<Out<typeof burnTableInput>["rules"][number]>, Fields<sdk.BurnRuleInput>>>();
holds<Same<Fields<Body<typeof apiKeys.create>>, "name" | "scopes" | "expiresAt">>();

// What must not compile.
declare const track_: (input: sdk.TrackInput) => void;
const usage = { n: 1 };
// @ts-expect-error nobody's usage
track_({ feature: "f", usage });
// @ts-expect-error two customers for one fact
track_({ customer: "a", userId: "b", feature: "f", usage });
// @ts-expect-error a misspelt field
track_({ userId: "a", feature: "f", usage, useage: usage });
// @ts-expect-error a quantity is a number, a bigint or text
track_({ userId: "a", feature: "f", usage: { n: null } });
