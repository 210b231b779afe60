/** A figure of the benchmark: a measurement with a goal. run.ts prints what it yields; a goal missed is printed, never thrown. */
import type { Load } from "./load";

export interface Row {
  figure: string;
  /** For people. */
  measured: string;
  goal: string;
  /** null: reported, without a goal. */
  met: boolean | null;
  /** What stands behind it, for people: rates, spreads, shares. */
  detail: string[];
}

export interface Bench {
  load: Load;
  /** Smaller numbers and fewer rounds, for a look while working. */
  quick: boolean;
  progress(text: string): void;
}

export interface Measured {
  rows: Row[];
  /** Everything measured, for latest.json. */
  data: unknown;
}

export interface Figure {
  /** For `--only`. */
  name: string;
  promise: string;
  /** Left out by `--quick` unless `--only` names it. */
  slow?: boolean;
  measure(bench: Bench): Promise<Measured>;
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

export const atLeast = (value: number, goal: number): boolean => value >= goal;
export const atMost = (value: number, goal: number): boolean => value <= goal;

export const fixed = (value: number, digits = 2): string => value.toFixed(digits);
export const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
