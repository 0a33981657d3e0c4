/**
 * What is told of the load on both stores: of one thread, or of all of them together.
 */
import { type LoadState, SIDES, type SideState } from '../domain.ts';

/** Of two stores that take all they are asked for. */
export function undisturbed(most: number): LoadState {
  const state: SideState = { places: most, most, perSecond: undefined, down: undefined };
  return { source: state, destination: state };
}

export function isUndisturbed(load: LoadState): boolean {
  return SIDES.every((side) => {
    const { places, most, perSecond, down } = load[side];
    return places === most && perSecond === undefined && down === undefined;
  });
}

/** What several threads ask of the same two stores, taken together. */
export function loadOfAll(loads: readonly LoadState[]): LoadState {
  return {
    source: stateOfAll(loads.map(({ source }) => source)),
    destination: stateOfAll(loads.map(({ destination }) => destination)),
  };
}

function stateOfAll(states: readonly SideState[]): SideState {
  let places = 0;
  let most = 0;
  let perSecond: number | undefined;
  let down: SideState['down'];
  for (const state of states) {
    places += state.places;
    most += state.most;
    if (state.perSecond !== undefined) perSecond = (perSecond ?? 0) + state.perSecond;
    if (state.down !== undefined && state.down.forMs > (down?.forMs ?? 0)) down = state.down;
  }
  return { places, most, perSecond, down };
}
