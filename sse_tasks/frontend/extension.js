// What JupyterLab and Notebook 7 have of tasks beside the cells' outputs: one plugin for each integration.
//
// An integration is {id, description, packages, tokens, activate}. `packages` names what it needs of the page's shared
// packages; `tokens(modules)` picks the services that it would like to have, {name: token}; `activate(app, {modules,
// services})` gets what is there. Every module and every service may be null: Notebook's pages have no side bar, no
// status bar, and an older JupyterLab may lack a package. What fails costs that integration, and nothing else.
import { noticesIntegration } from './lab_notices.js';
import { panelIntegration } from './lab_panel.js';
import { runningIntegration } from './lab_running.js';
import { statusIntegration } from './lab_status.js';

/** The integrations, each from a file of its own. */
const INTEGRATIONS = [panelIntegration, runningIntegration, statusIntegration, noticesIntegration];

async function plugin(shared, { id, description, packages, tokens, activate }) {
  const modules = Object.fromEntries(await Promise.all(packages.map(async (name) => [name, await shared(name)])));
  const wanted = Object.entries(tokens(modules)).filter(([, token]) => token);
  return {
    id: `sse-tasks:${id}`,
    description,
    autoStart: true,
    optional: wanted.map(([, token]) => token),
    async activate(app, ...given) {
      const services = Object.fromEntries(wanted.map(([name], index) => [name, given[index]]));
      try {
        await activate(app, { modules, services });
      } catch (error) {
        console.error(`sse-tasks: ${id} is not there.`, error);
      }
    },
  };
}

export async function load(shared) {
  const plugins = await Promise.allSettled(INTEGRATIONS.map((integration) => plugin(shared, integration)));
  return plugins.flatMap((one) => {
    if (one.status === 'fulfilled') return one.value;
    console.error('sse-tasks: an integration is not there.', one.reason);
    return [];
  });
}
