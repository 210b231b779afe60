/** The Worker's JavaScript engine is not Node's: what core/exact-json.ts asks of JSON (source text, rawJSON) must hold in both. */
import "../core/exact-json.test";
import "../core/quantity.test";
