/**
 * The groups that one meter of one customer has ever counted, each with its total of all time, and the bound on their number.
 * A group is canonical JSON of [subject, …values]. Past the bound the dimension with the most values goes coarse: from then on
 * its value is null in every new group. No event is refused and no total changes; only a query by that dimension is (422).
 */
import type { Cell } from "./aggregation";

/**
 * Groups per meter and customer before a dimension goes coarse. Each costs about 300 bytes in an object that shares 128 MB
 * with its neighbours; a customer's models × operations × regions stay far below.
 */
export const GROUPS_MAX = 5_000;

/** Groups are saved in pages, and only the pages that changed. So many of the longest names still fit the platform's 2 MB. */
const GROUPS_PER_PAGE = 100;

export interface FoldGroup {
  key: string;
  page: number;
  /** The total of all time; null before the first event. Of UNIQUE_COUNT it knows the events only: sets do not add up cheaply. */
  total: Cell | null;
}

export interface FoldGroups {
  byKey: Map<string, FoldGroup>;
  /** By dimension, the subject first: has it gone coarse? null while none has. */
  coarse: boolean[] | null;
  /** By page. */
  unsaved: boolean[];
}

export const newGroups = (): FoldGroups => ({ byKey: new Map(), coarse: null, unsaved: [] });

type GroupValues = (string | null)[];

/** The group in which an event with this key counts; made if it is new. */
export function groupFor(groups: FoldGroups, fineKey: string): FoldGroup {
  let key = groups.coarse === null ? fineKey : projected(fineKey, groups.coarse);
  let group = groups.byKey.get(key);
  while (group === undefined && groups.byKey.size >= groupsMax(groups) && giveUpDimension(groups)) {
    key = projected(fineKey, groups.coarse ?? []);
    group = groups.byKey.get(key);
  }
  return group ?? addGroup(groups, key);
}

/** Every dimension that goes coarse leaves half as much more room, so there are never more than twice GROUPS_MAX. */
function groupsMax({ coarse }: FoldGroups): number {
  const given = coarse?.filter(Boolean).length ?? 0;
  return GROUPS_MAX * (2 - 0.5 ** given);
}

function addGroup(groups: FoldGroups, key: string): FoldGroup {
  const group: FoldGroup = { key, page: Math.floor(groups.byKey.size / GROUPS_PER_PAGE), total: null };
  groups.byKey.set(key, group);
  return group;
}

/** Makes the dimension with the most values coarse; false when all are. */
function giveUpDimension(groups: FoldGroups): boolean {
  const seen: Set<string | null>[] = [];
  for (const key of groups.byKey.keys()) {
    for (const [place, value] of (JSON.parse(key) as GroupValues).entries()) (seen[place] ??= new Set()).add(value);
  }
  const coarse = groups.coarse ?? seen.map(() => false);
  let most = -1;
  for (const [place, { size }] of seen.entries()) {
    if (!coarse[place] && (most < 0 || size > seen[most]!.size)) most = place;
  }
  if (most < 0) return false;
  groups.coarse = coarse.map((was, place) => was || place === most);
  // Page 0 carries which dimensions are coarse.
  groups.unsaved[0] = true;
  return true;
}

/** The group's name without the values of the dimensions that have gone coarse. */
export const projected = (key: string, coarse: readonly boolean[]): string =>
  JSON.stringify((JSON.parse(key) as GroupValues).map((value, place) => (coarse[place] ? null : value)));
