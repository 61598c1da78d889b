// What JupyterLab and Notebook 7 load of an extension: a module-federation container, written by hand instead of bundled.
// A classic script: the page adds it with <script>, gives it the packages that it shares, and asks for the modules that
// package.json names. A relative import in it resolves against this file, wherever that is served.
(() => {
  let scope; // package → version → {get, loaded, …}; filled by the page, whole only when modules are asked for

  /** The copy of a package that the page itself uses, or null if it shares none. */
  async function shared(name) {
    const versions = scope[name] ?? {};
    // As the page chooses its singletons: one that is loaded wins, else the highest version.
    const [version] = Object.keys(versions).sort((a, b) => (
      Boolean(versions[b].loaded) - Boolean(versions[a].loaded) || b.localeCompare(a, undefined, { numeric: true })));
    if (version === undefined) return null;
    versions[version].loaded = 1;
    return (await versions[version].get())();
  }

  /** A promise of the module's factory: `./mime` is what `load` of mime.js gives. */
  async function get(path) {
    const exported = await (await import(`${path}.js`)).load(shared);
    return () => ({ __esModule: true, default: exported });
  }

  (window._JUPYTERLAB ??= {})['sse-tasks'] = { init: (given) => { scope = given; }, get };
})();
