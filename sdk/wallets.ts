/** Wallets, their grants and their journal. A customer is named by id, key or subject key. */
import { Pages, type Page, type PageQuery } from "./pages";
import { path, type CallOptions, type Transport } from "./transport";
import type { Grant, GrantInput, Transaction, Verification, Wallet, WalletPatch, WireWallet } from "./types";

/** Numbers to show where people look first, the exact text of each at the same path below `exact`. */
export function walletOf(wire: WireWallet): Wallet {
  const { balance, held, available, overdraftLimit, lastTransaction } = wire;
  return {
    ...wire,
    balance: Number(balance),
    held: Number(held),
    available: Number(available),
    overdraftLimit: Number(overdraftLimit),
    lastTransaction: lastTransaction && { ...lastTransaction, amount: Number(lastTransaction.amount) },
    exact: {
      balance,
      held,
      available,
      overdraftLimit,
      lastTransaction: lastTransaction && { amount: lastTransaction.amount },
    },
  };
}

export class Wallets {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  async get(customer: string, options?: CallOptions): Promise<Wallet> {
    return walletOf(await this.#transport.send({ method: "GET", path: path`/api/v1/wallets/${customer}` }, options));
  }

  async update(customer: string, patch: WalletPatch, options?: CallOptions): Promise<Wallet> {
    const request = { method: "PATCH", path: path`/api/v1/wallets/${customer}`, body: patch } as const;
    return walletOf(await this.#transport.send(request, options));
  }

  /** Adds credits. Name the grant (`id`) after what paid for it, and it is made once however often you ask. */
  grant(customer: string, grant: GrantInput, options?: CallOptions): Promise<Grant> {
    return this.#transport.send(
      { method: "POST", path: path`/api/v1/wallets/${customer}/grants`, body: grant, keyed: grant.id === undefined },
      options,
    );
  }

  grants(customer: string, query?: PageQuery, options?: CallOptions): Pages<Grant> {
    return this.#list(path`/api/v1/wallets/${customer}/grants`, query, options);
  }

  voidGrant(customer: string, grantId: string, options?: CallOptions): Promise<Grant> {
    const target = path`/api/v1/wallets/${customer}/grants/${grantId}/void`;
    return this.#transport.send({ method: "POST", path: target, keyed: true }, options);
  }

  /** The journal, newest first. */
  transactions(customer: string, query?: PageQuery, options?: CallOptions): Pages<Transaction> {
    return this.#list(path`/api/v1/wallets/${customer}/transactions`, query, options);
  }

  /** Recomputes the journal's hash chain and its sum. */
  verify(customer: string, options?: CallOptions): Promise<Verification> {
    return this.#transport.send(
      { method: "GET", path: path`/api/v1/wallets/${customer}/transactions/verify` },
      options,
    );
  }

  #list<T>(target: string, query?: PageQuery, options?: CallOptions): Pages<T> {
    const fetchPage = ({ cursor, limit }: PageQuery) =>
      this.#transport.send<Page<T>>({ method: "GET", path: target, query: { cursor, limit } }, options);
    return new Pages(fetchPage, query);
  }
}
