/** The platform's sha-256, synchronous in workerd: handed to core wherever a hash is needed. */
import { hash } from "node:crypto";

/** Lower-case hex of the sha-256 of UTF-8 text. */
export const sha256 = (text: string): string => hash("sha256", text, "hex");
