// Turns answers of Prometheus into the frames that Grafana's panels draw, as Grafana's data source for Prometheus does.
import * as data from '@grafana/data';

function seriesName(target, metric) {
  const format = target.legendFormat;
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '');
  }
  return JSON.stringify(metric);
}

/** A frame with a column for each label, and a row for each series. */
function tableFrame({ target, result }, isOnly, at) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const columns = labels.map((label) => ({
    name: label,
    type: data.FieldType.string,
    config: { filterable: true },
    values: result.map(({ metric }) => metric[label] ?? ''),
  }));
  const time = { name: 'Time', type: data.FieldType.time, config: {}, values: result.map(() => at * 1000) };
  const value = {
    name: isOnly ? 'Value' : `Value #${target.refId}`,
    type: data.FieldType.number,
    config: {},
    values: result.map((series) => Number(series.value[1])),
  };
  return data.toDataFrame({ refId: target.refId, fields: [time, ...columns, value] });
}

/** The longest gap of a series that is still one line, in seconds: how long Prometheus itself looks back. */
const LONGEST_GAP = 300;

function seriesFrame(target, series, step) {
  const name = seriesName(target, series.metric);
  const samples = series.values ?? [series.value];
  const times = [];
  const values = [];
  for (const [at, value] of samples) {
    const previous = times.at(-1);
    // A gap must stay a gap: without this empty sample, a panel would draw a line across it.
    if (previous !== undefined && at * 1000 - previous > Math.max(LONGEST_GAP, 1.5 * step) * 1000) {
      times.push(previous + step * 1000);
      values.push(null);
    }
    times.push(at * 1000);
    values.push(Number(value));
  }
  const { __name__, ...labels } = series.metric;
  return data.toDataFrame({
    refId: target.refId,
    name,
    meta: { type: data.DataFrameType.TimeSeriesMulti },
    fields: [
      { name: 'Time', type: data.FieldType.time, config: {}, values: times },
      { name: 'Value', type: data.FieldType.number, labels, config: { displayNameFromDS: name }, values },
    ],
  });
}

export function frames(answers, view) {
  return answers.flatMap((answer) => {
    if (answer.target.format !== 'table') {
      return answer.result.map((series) => seriesFrame(answer.target, series, view.step));
    }
    return answer.result.length ? [tableFrame(answer, answers.length === 1, view.to)] : [];
  });
}

// Grafana exports some transformations under two names.
const transformations = new Map(Object.values(data.standardTransformers).map((one) => [one.id, one]));
data.standardTransformersRegistry.setInit(() =>
  [...transformations.values()].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    aliasIds: [],
    imageDark: '',
    imageLight: '',
    transformation,
  })),
);

/** The frames after the panel's transformations. */
export function transformed(panel, frames) {
  const steps = panel.transformations ?? [];
  if (!steps.length) return Promise.resolve(frames);
  return new Promise((resolve, reject) => {
    data.transformDataFrame(steps, frames, { interpolate: (text) => text }).subscribe({ next: resolve, error: reject });
  });
}

/** The places of all settings in the field configurations of a dashboard: `unit`, `custom.width`, … */
function settingsOf(dashboard) {
  const names = new Set();
  for (const { fieldConfig } of dashboard.panels) {
    for (const name of Object.keys(fieldConfig?.defaults ?? {})) if (name !== 'custom') names.add(name);
    for (const name of Object.keys(fieldConfig?.defaults?.custom ?? {})) names.add(`custom.${name}`);
    for (const override of fieldConfig?.overrides ?? []) for (const { id } of override.properties) names.add(id);
  }
  return names;
}

/** The registry by which Grafana applies the settings of fields. It knows exactly what the dashboard sets. */
export function fieldSettings(dashboard) {
  const items = [...settingsOf(dashboard)].map((id) => ({
    id,
    path: id.replace(/^custom\./, ''),
    name: id,
    isCustom: id.startsWith('custom.'),
    process: (value) => value,
    shouldApply: () => true,
    getItemsCount: () => 0,
  }));
  data.standardFieldConfigEditorRegistry.setInit(() => items.filter(({ isCustom }) => !isCustom));
  return new data.FieldConfigOptionsRegistry(() => items);
}
