// Asks Prometheus what Grafana would ask it for a dashboard.

/** The values that Grafana gives to its own variables, for a time range in seconds and the scrape interval. */
function builtIn({ range, scrapeInterval, step }) {
  return {
    __range: `${range}s`,
    __range_s: `${range}`,
    __range_ms: `${range * 1000}`,
    __interval: `${step}s`,
    __rate_interval: `${Math.max(step + scrapeInterval, 4 * scrapeInterval)}s`,
  };
}

/**
 * Replaces `$name`, `${name}` and `${name:format}` in a query. A variable that is not known is an error. `$1` stays: it
 * is a group of label_replace().
 */
export function interpolate(text, variables) {
  return text.replace(/\$(?:\{(\w+)(?::\w+)?\}|([a-z_]\w*))/g, (_, braced, plain) => {
    const name = braced ?? plain;
    if (!(name in variables)) throw new Error(`the variable ${name} does not exist: ${text}`);
    return variables[name];
  });
}

async function ask(prometheus, route, parameters) {
  const response = await fetch(`${prometheus}/api/v1/${route}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.status !== 'success') throw new Error(`${answer.error}: ${JSON.stringify(parameters)}`);
  return answer.data;
}

const escaped = (value) => value.replace(/[\\^$.*+?()[\]{}|]/g, '\\\\$&');

/** The value of a variable: what the page's address selects, else "All", else the first of its values. */
async function selected(variable, known, view) {
  const [, series, label] = /^label_values\(([^]*), (\w+)\)$/.exec(variable.query.query);
  const parameters = { 'match[]': interpolate(series, known), start: view.from, end: view.to };
  const found = await ask(view.prometheus, 'series', parameters);
  const values = [...new Set(found.map((labels) => labels[label]).filter(Boolean))].sort();
  const choice = view.selected[variable.name];
  if (choice) return { text: choice, regex: escaped(choice) };
  if (variable.includeAll) return { text: 'All', regex: variable.allValue ?? `(${values.map(escaped).join('|')})` };
  return { text: values[0], regex: escaped(values[0] ?? '') };
}

/** Selects a value for each variable, in their order, because each one is filtered by those before it. */
export async function selectVariables(dashboard, view) {
  const known = builtIn(view);
  const shown = {};
  for (const variable of dashboard.templating.list) {
    if (variable.type === 'query') {
      const { text, regex } = await selected(variable, known, view);
      known[variable.name] = regex;
      shown[variable.label] = text;
    }
  }
  return { known, shown };
}

/** The answers to all queries of a panel. */
export async function answers(panel, known, view) {
  const one = async (target) => {
    const query = interpolate(target.expr, known);
    const data = target.instant
      ? await ask(view.prometheus, 'query', { query, time: view.to })
      : await ask(view.prometheus, 'query_range', { query, start: view.from, end: view.to, step: view.step });
    return { target, result: data.result };
  };
  return Promise.all((panel.targets ?? []).map(one));
}
