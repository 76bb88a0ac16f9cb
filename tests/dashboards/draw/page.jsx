// Draws one dashboard. The address says which one and from which Prometheus; `window.report` is what can be seen.
import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import { createRoot } from 'react-dom/client';
import { Component } from 'react';
import * as data from '@grafana/data';
import { GlobalStyles, PanelChrome, ThemeContext } from '@grafana/ui';
import { answers, selectVariables } from './queries';
import { fieldSettings, frames, transformed } from './frames';
import { Content } from './panels';
import { report } from './report';

const address = new URLSearchParams(location.search);
const range = Number(address.get('range'));
const to = Number(address.get('at'));
const view = {
  prometheus: address.get('prometheus'),
  range,
  from: to - range,
  to,
  step: Math.max(15, Math.round(range / 360)),
  scrapeInterval: Number(address.get('scrape_interval')),
  selected: Object.fromEntries(address),
};

/** The grid of Grafana: 24 columns; a row is 30 pixels, and 8 pixels are between panels. */
const GRID = { columns: 24, row: 30, gap: 8, margin: 16, header: 88 };

function placed({ x, y, w, h }) {
  const column = (innerWidth - 2 * GRID.margin + GRID.gap) / GRID.columns;
  return {
    position: 'absolute',
    left: GRID.margin + x * column,
    top: GRID.header + y * (GRID.row + GRID.gap),
    width: w * column - GRID.gap,
    height: h * (GRID.row + GRID.gap) - GRID.gap,
  };
}

/** Replaces what the links and names in a dashboard can contain. */
function replacer(shown) {
  const selected = (name) => `var-${name.toLowerCase()}=${encodeURIComponent(shown[name])}`;
  return (text, scope) =>
    text.replace(/\$\{([\w.]+)(?::(\w+))?\}/g, (_, name, format) => {
      if (name === '__url_time_range') return `from=${view.from * 1000}&to=${view.to * 1000}`;
      if (format === 'queryparam') return selected({ job: 'Job', instance: 'Instance', datasource: 'Data source' }[name]);
      const { frame, rowIndex } = scope.__dataContext.value;
      const field = frame.fields.find(
        (field) => `__data.fields.${data.getFieldDisplayName(field, frame)}` === name || `__data.fields.${field.name}` === name,
      );
      const value = field ? field.values[rowIndex] : undefined;
      if (value === undefined) throw new Error(`${name} is not a column of this table`);
      return format === 'percentencode' ? encodeURIComponent(value) : value;
    });
}

class Guarded extends Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  componentDidCatch(error) {
    this.props.drawing.problem = String(error.stack);
  }
  render() {
    return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children;
  }
}

function Panel({ drawing, theme }) {
  const { panel } = drawing;
  const style = placed(panel.gridPos);
  if (panel.type === 'row') {
    return <h5 id={`panel-${panel.id}`} style={{ ...style, margin: 0, paddingTop: 4 }}>⌄ {panel.title}</h5>;
  }
  const { description, title } = panel;
  return (
    <div id={`panel-${panel.id}`} style={style}>
      <PanelChrome width={style.width} height={style.height} title={title} description={description}>
        {(width, height) => (
          <div data-body style={{ width, height, overflow: 'hidden' }}>
            <Guarded drawing={drawing}>
              <Content {...drawing} width={width} height={height} theme={theme} />
            </Guarded>
          </div>
        )}
      </PanelChrome>
    </div>
  );
}

async function drawingOf(panel, { known, shown, registry, theme, timeRange }) {
  if (panel.type === 'row') return { panel, frames: [] };
  const replace = replacer(shown);
  const raw = await transformed(panel, frames(await answers(panel, known, view), view));
  const drawn = data.applyFieldOverrides({
    data: raw,
    fieldConfig: panel.fieldConfig,
    replaceVariables: replace,
    theme,
    timeZone: 'utc',
    fieldConfigRegistry: registry,
  });
  return { panel, frames: drawn, timeRange, replace };
}

function Head({ dashboard, shown, theme }) {
  const box = { border: `1px solid ${theme.colors.border.medium}`, borderRadius: 2, padding: '4px 8px' };
  return (
    <div style={{ position: 'absolute', left: GRID.margin, top: 8, display: 'grid', gap: 8 }}>
      <b>{dashboard.title}</b>
      <span style={{ display: 'flex', gap: 8, fontSize: 12 }}>
        {Object.entries(shown).slice(1).map(([label, text]) => (
          <span key={label} style={box}>{label}: {text}</span>
        ))}
      </span>
    </div>
  );
}

/** Waits until the fonts are there, and until three frames in a row with pauses between them are the same. */
async function settled() {
  await document.fonts.ready;
  const drawn = () => document.getElementById('dashboard').innerHTML;
  for (let same = 0, before = ''; same < 3; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const now = drawn();
    same = now === before ? same + 1 : 0;
    before = now;
  }
}

async function draw() {
  data.locationUtil.initialize({ config: { appSubUrl: '' }, getVariablesUrlParams: () => ({}), getTimeRangeForUrl: () => ({}) });
  const dashboard = await (await fetch(`/dashboards/${address.get('board')}.json`)).json();
  const shownRows = Number(address.get('rows') ?? Infinity);
  dashboard.panels = dashboard.panels.filter(({ gridPos }) => gridPos.y + gridPos.h <= shownRows);
  const theme = data.createTheme({ colors: { mode: address.get('mode') } });
  const { known, shown } = await selectVariables(dashboard, view);
  const [from, until] = [view.from, view.to].map((at) => data.dateTime(at * 1000));
  const timeRange = { from, to: until, raw: { from, to: until } };
  const context = { known, shown: { 'Data source': 'prometheus', ...shown }, registry: fieldSettings(dashboard), theme, timeRange };
  const drawings = await Promise.all(dashboard.panels.map((panel) => drawingOf(panel, context)));
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  document.body.style.margin = 0;
  document.body.style.height = `${GRID.header + bottom * (GRID.row + GRID.gap) + GRID.gap}px`;
  createRoot(document.getElementById('dashboard')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Head dashboard={dashboard} shown={context.shown} theme={theme} />
      {drawings.map((drawing) => <Panel key={drawing.panel.id} drawing={drawing} theme={theme} />)}
    </ThemeContext.Provider>,
  );
  await settled();
  window.report = { panels: report(drawings), bottom_of_row_20: GRID.header + 20 * (GRID.row + GRID.gap) };
}

draw().catch((error) => {
  window.report = { error: String(error.stack) };
});
