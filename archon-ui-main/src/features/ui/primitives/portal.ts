/** Where dialogs, menus and hints are put: the element that a host application keeps for them, else the page's body. */
export const portalHome = (): HTMLElement | null => document.getElementById("awo-portals");
