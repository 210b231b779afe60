/** An amount in a request body: exact, by its source text, and not below `least`. */
import { explainDecimal, type Decimal } from "../../core/decimal";
import { decimalOf } from "../../core/event";
import type { DecimalInput } from "../../schema/contract/fields";
import { invalid } from "./problem";

export function readAmount(field: string, value: DecimalInput, least: Decimal): Decimal {
  const read = decimalOf(value);
  if (!read.ok) throw invalid([{ field, message: explainDecimal(read.refusal) }]);
  if (read.value < least)
    throw invalid([{ field, message: least === 0n ? "must not be negative" : "must be greater than zero" }]);
  return read.value;
}
