/** What verify and replay print: a bar while they work, and tables that can be pasted. Numbers in, text out. */
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import type { Steps } from "./reconcile";

export const grouped = (value: number): string => value.toLocaleString("en-US");

/** One line that counts up and then vanishes. Silent where no terminal reads it. */
export function progressBar(): { steps: Steps; stop(): void } {
  const bar = new SingleBar({
    format: "  {bar} {value} of {total} {what}",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 32,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  });
  let running = "";
  return {
    steps(done, total, what) {
      if (running !== what) bar.start(total, done, { what });
      else {
        bar.setTotal(total);
        bar.update(done, { what });
      }
      running = what;
    },
    stop: () => bar.stop(),
  };
}

/** Without colours: CI logs keep it as it is. Past `rowsMax` it says how many there are more. */
export function table(head: string[], rows: readonly string[][], rowsMax = 100): string {
  const drawn = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows.slice(0, rowsMax).map((row) => [...row]));
  const more = rows.length > rowsMax ? `\n  … and ${grouped(rows.length - rowsMax)} more` : "";
  const lines = drawn.toString().split("\n");
  return `${lines.map((line) => `  ${line}`).join("\n")}${more}`;
}
