// What differs between a component and Node. `runtime/component.js` replaces the functions in a component.

export const platform = {
  /**
   * Waits until `woken` resolves and the functions that follow from it have run, or until nothing is left that could
   * resolve
   * it. While `busy()` is true, something outside may still resolve it.
   */
  async settled(woken, busy) {
    let isWoken = false;
    woken.then(() => {
      isWoken = true;
    });
    do {
      await new Promise((resolve) => setTimeout(resolve));
    } while (!isWoken && busy());
    if (isWoken) await new Promise((resolve) => setTimeout(resolve));
  },
};
