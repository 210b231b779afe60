/**
 * What a deployment must have before its first request, written so that writing it again changes nothing.
 * The caller brings the ids, the keys' hashes and the time; no key is known here.
 */
import { commit, type Store } from "./store";
import { insertApiKey, type NewApiKey } from "./api-keys";
import { insertNamespace, type NewNamespace } from "./namespaces";

export async function seedNamespace(store: Store, namespace: NewNamespace, keys: readonly NewApiKey[]): Promise<void> {
  await commit(store, [
    insertNamespace(store, namespace).onConflictDoNothing(),
    ...keys.map((key) => insertApiKey(store, namespace.id, key).onConflictDoNothing()),
  ]);
}
