/**
 * Chunks and groups of folds as text. A chunk's text has two sides: `hours`, one cell a group, is all that windows of an hour
 * or more have to read, so such a query costs the same however many events there were; `minutes` has every cell.
 * Readers understand every past format for ever; text of a later one throws, and is never read as something else.
 */
import type { Cell, CellJson, Fold } from "./aggregation";
import { addRow, newChunk, windowCell, type FoldChunk, type FoldRow } from "./fold";
import { newGroups, type FoldGroup, type FoldGroups } from "./fold-groups";
import type { CompiledMeter } from "./meter";
import { assert } from "./result";

/** A part is a stored row. At three bytes a character it stays below the platform's 2 MB, its hours included. */
const PART_CHARS = 400_000;

export interface ChunkPart {
  hours: string;
  minutes: string;
}

interface MinutesFormat1 {
  v: 1;
  /** The distinct values were too many and are forgotten. */
  forgotten?: true;
  /** [group, minute, piece, minute, piece, …]. A group, and a minute's cell, may go on in the next part. null: emptied by a correction. */
  rows: [group: string, ...cells: CellJson[]][];
}

/**
 * A group's hour: its cell (of distinct values [events, how many or null when forgotten], without the values), and its first and
 * last minute, 0 to 59, which format 1 did not say.
 */
export type HourRow = [group: string, cell: CellJson, first?: number, last?: number];

interface HoursFormat2 {
  v: 2;
  rows: HourRow[];
}

interface HoursFormat1 {
  v: 1;
  rows: [group: string, cell: CellJson][];
}

export function encodeChunk(chunk: FoldChunk): ChunkPart[] {
  const { fold } = chunk.meter;
  const parts: ChunkPart[] = [];
  let hours: HoursFormat2 = { v: 2, rows: [] };
  let rows: string[] = [];
  let chars = 0;
  const close = (): void => {
    parts.push({
      hours: JSON.stringify(hours),
      minutes: `{"v":1${chunk.forgotten ? ',"forgotten":true' : ""},"rows":[${rows.join()}]}`,
    });
    hours = { v: 2, rows: [] };
    rows = [];
    chars = 0;
  };
  for (const row of chunk.rows.values()) {
    const hour = hourRow(chunk, row);
    if (hour !== null) hours.rows.push(hour);
    const head = `[${JSON.stringify(row.group.key)}`;
    chars += 2 * head.length;
    let text = head;
    for (const [place, minute] of row.minutes.entries()) {
      for (const piece of fold.toJSON(row.cells[place]!)) {
        const cell = `,${minute},${JSON.stringify(piece)}`;
        if (text !== head && chars + text.length + cell.length > PART_CHARS) {
          rows.push(`${text}]`);
          close();
          text = head;
        }
        text += cell;
      }
    }
    for (const minute of row.emptied) text += `,${minute},null`;
    rows.push(`${text}]`);
    chars += text.length;
    if (chars > PART_CHARS) close();
  }
  if (rows.length > 0) close();
  return parts;
}

/** null when no event of the group is left in the hour. */
export function hourRow(chunk: FoldChunk, row: FoldRow): HourRow | null {
  const cell = windowCell(chunk, row, 0, 60);
  return cell && [row.group.key, chunk.meter.fold.summary(cell), row.minutes[0], row.minutes.at(-1)];
}

/** The groups of a chunk with what they add up to in the whole hour, from the `hours` of one of its parts. */
export function readHours(part: string): HourRow[] {
  const stored = JSON.parse(part) as HoursFormat1 | HoursFormat2;
  assert(stored.v <= 2, `a fold chunk of format ${String(stored.v)} needs a later version of this program`);
  return stored.rows;
}

/** The chunk as `encodeChunk` saw it, from the `minutes` of its parts. Its groups are already known to `groups`. */
export function decodeChunk(
  meter: CompiledMeter,
  hour: number,
  groups: FoldGroups,
  parts: readonly string[],
): FoldChunk {
  const chunk = newChunk(meter, hour, groups);
  for (const part of parts) {
    const stored = JSON.parse(part) as MinutesFormat1;
    assert(stored.v === 1, `a fold chunk of format ${String(stored.v)} needs a later version of this program`);
    if (stored.forgotten) chunk.forgotten = true;
    for (const [key, ...cells] of stored.rows) {
      const group = groups.byKey.get(key);
      assert(group !== undefined, "every group of a stored chunk is stored with the groups");
      readCells(chunk, chunk.rows.get(key) ?? addRow(chunk, group), cells);
    }
  }
  return chunk;
}

function readCells(chunk: FoldChunk, row: FoldRow, cells: readonly CellJson[]): void {
  const { fold } = chunk.meter;
  for (let i = 0; i < cells.length; i += 2) {
    const minute = cells[i] as number;
    const stored = cells[i + 1]!;
    if (stored === null) {
      row.emptied.push(minute);
      continue;
    }
    const piece = fold.fromJSON(stored);
    const last = row.cells.at(-1);
    if (last !== undefined && row.minutes.at(-1) === minute) fold.merge(last, piece);
    else {
      row.minutes.push(minute);
      row.cells.push(piece);
      chunk.cells++;
    }
    chunk.units += fold.units(piece);
  }
}

interface GroupsFormat1 {
  v: 1;
  /** On page 0: which dimensions have gone coarse. */
  coarse?: boolean[];
  rows: [key: string, total: CellJson][];
}

/** The text of one page of groups. */
export function encodeGroups(groups: FoldGroups, page: number, fold: Fold<Cell>): string {
  const rows: GroupsFormat1["rows"] = [];
  for (const group of groups.byKey.values()) {
    if (group.page === page && group.total !== null) rows.push([group.key, fold.toJSON(group.total)[0]!]);
  }
  const stored: GroupsFormat1 = { v: 1, rows };
  if (page === 0 && groups.coarse !== null) stored.coarse = groups.coarse;
  return JSON.stringify(stored);
}

/** All groups, from all their pages in order. */
export function decodeGroups(pages: readonly string[], fold: Fold<Cell>): FoldGroups {
  const groups = newGroups();
  for (const [page, text] of pages.entries()) {
    const stored = JSON.parse(text) as GroupsFormat1;
    assert(stored.v === 1, `fold groups of format ${String(stored.v)} need a later version of this program`);
    if (stored.coarse) groups.coarse = stored.coarse;
    for (const [key, total] of stored.rows) {
      const group: FoldGroup = { key, page, total: fold.fromJSON(total) };
      groups.byKey.set(key, group);
    }
  }
  return groups;
}
