/** Which consumer reads which queue. A name that is not here is a mistake in wrangler.toml, and throws. */
import type { Context } from "../context";
import { consumeArchive } from "./archive";
import { consumeDead } from "./dead";
import { consumeRating } from "./rating";
import { consumeSpill } from "./spill";

export const consumers: Record<string, (batch: MessageBatch, context: Context) => Promise<void>> = {
  rating: consumeRating,
  spill: consumeSpill,
  archive: consumeArchive,
  dead: consumeDead,
};
