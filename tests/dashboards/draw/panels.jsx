// The panels: Grafana's own components where its packages have them. A state timeline and a heat map are parts of the
// Grafana application, not of a package, so these two are drawn in a simple likeness.
import * as data from '@grafana/data';
import { BarGauge, BigValue, PanelContextProvider, Table, TimeSeries, VizRepeater } from '@grafana/ui';

function reduced({ panel, frames, theme, replace }) {
  return data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: replace,
    theme,
    data: frames,
    sparkline: panel.options.graphMode !== 'none',
    timeZone: 'utc',
  });
}

function Repeated({ drawing, render, ...more }) {
  const { panel, frames, width, height } = drawing;
  return (
    <VizRepeater
      getValues={() => reduced(drawing)}
      getAlignmentFactors={data.getDisplayValueAlignmentFactors}
      renderValue={render}
      source={frames}
      width={width}
      height={height}
      orientation={panel.options.orientation}
      renderCounter={1}
      {...more}
    />
  );
}

function Stat(drawing) {
  const { panel, theme } = drawing;
  const render = ({ value, width, height, count, alignmentFactors }) => (
    <BigValue
      value={value.display}
      count={count}
      sparkline={value.sparkline}
      colorMode={panel.options.colorMode}
      graphMode={panel.options.graphMode}
      justifyMode={panel.options.justifyMode}
      textMode={panel.options.textMode}
      wideLayout={panel.options.wideLayout}
      text={panel.options.text}
      alignmentFactors={alignmentFactors}
      width={width}
      height={height}
      theme={theme}
    />
  );
  return <Repeated drawing={drawing} render={render} autoGrid />;
}

function Bars(drawing) {
  const { panel, theme } = drawing;
  const render = ({ value, width, height, orientation, alignmentFactors }) => (
    <BarGauge
      value={value.display}
      field={value.field}
      width={width}
      height={height}
      orientation={orientation}
      theme={theme}
      displayMode={panel.options.displayMode}
      showUnfilled={panel.options.showUnfilled}
      valueDisplayMode={panel.options.valueMode}
      namePlacement={panel.options.namePlacement}
      text={panel.options.text}
      alignmentFactors={alignmentFactors}
      itemSpacing={8}
      lcdCellWidth={8}
    />
  );
  const { minVizHeight } = panel.options;
  return <Repeated drawing={drawing} render={render} itemSpacing={8} minVizHeight={minVizHeight} maxVizHeight={300} />;
}

function TableOf({ panel, frames, width, height, timeRange }) {
  return (
    <Table
      data={frames[0]}
      width={width}
      height={height}
      initialSortBy={panel.options.sortBy}
      cellHeight={panel.options.cellHeight}
      showTypeIcons={false}
      enableSharedCrosshair={false}
      timeRange={timeRange}
      fieldConfig={panel.fieldConfig}
    />
  );
}

/** What Grafana assumes where a panel sets nothing. */
const LINE = {
  drawStyle: 'line',
  lineWidth: 1,
  lineInterpolation: 'linear',
  fillOpacity: 0,
  gradientMode: 'none',
  showPoints: 'auto',
  pointSize: 5,
  spanNulls: false,
  barAlignment: 0,
  stacking: { mode: 'none', group: 'A' },
  scaleDistribution: { type: 'linear' },
  thresholdsStyle: { mode: 'off' },
  hideFrom: { tooltip: false, viz: false, legend: false },
  axisPlacement: 'auto',
  axisColorMode: 'text',
  axisBorderShow: false,
  axisCenteredZero: false,
  axisGridShow: true,
};

function Lines({ panel, frames, width, height, timeRange }) {
  for (const { config } of frames.flatMap(({ fields }) => fields)) {
    config.custom = { ...LINE, ...config.custom };
    config.color ??= { mode: data.FieldColorModeId.PaletteClassic };
  }
  return (
    <PanelContextProvider value={{ eventBus: new data.EventBusSrv(), eventsScope: 'dashboard' }}>
      <TimeSeries
        frames={frames}
        structureRev={1}
        width={width}
        height={height}
        timeRange={timeRange}
        timeZone="utc"
        legend={panel.options.legend}
        options={panel.options}
      />
    </PanelContextProvider>
  );
}

/** The times with one value each: [from, until, value]. */
function periods({ fields: [time, value] }, end) {
  const found = [];
  time.values.forEach((at, index) => {
    const last = found.at(-1);
    if (last) last[1] = at;
    if (!last || last[2] !== value.values[index]) found.push([at, end, value.values[index]]);
    else last[1] = end;
  });
  return found.filter(([, , value]) => value !== null);
}

const clock = (at, range) => data.dateTimeFormat(at, { format: range > 86_400_000 ? 'MM-DD HH:mm' : 'HH:mm', timeZone: 'utc' });

function StateTimeline({ frames, width, height, timeRange, theme }) {
  const [from, to] = [timeRange.from.valueOf(), timeRange.to.valueOf()];
  const names = frames.map((frame) => data.getFieldDisplayName(frame.fields[1], frame, frames));
  const left = Math.min(width / 2, 16 + 7.2 * Math.max(...names.map((name) => name.length)));
  const row = (height - 24) / frames.length;
  const x = (at) => left + ((Math.max(at, from) - from) / (to - from)) * (width - left - 8);
  const bar = (field, top, [start, end, value]) => {
    const { text, color } = field.display(value);
    const size = Math.max(1, x(end) - x(start));
    const fill = theme.visualization.getColorByName(color);
    return (
      <g key={start}>
        <rect x={x(start)} y={top + row * 0.05} width={size} height={row * 0.9} fill={fill} fillOpacity={0.8} />
        {size > 12 + 8 * text.length && (
          <text x={x(start) + 6} y={top + row / 2 + 4} fontSize={12} fill={theme.colors.getContrastText(fill)}>
            {text}
          </text>
        )}
      </g>
    );
  };
  const ticks = Array.from({ length: 7 }, (_, index) => from + ((index + 0.5) / 7) * (to - from));
  return (
    <svg width={width} height={height} fill={theme.colors.text.primary}>
      {frames.map((frame, index) => (
        <g key={names[index]}>
          <text x={left - 8} y={index * row + row / 2 + 4} fontSize={12} textAnchor="end">
            {names[index]}
          </text>
          {periods(frame, to).map((period) => bar(frame.fields[1], index * row, period))}
        </g>
      ))}
      {ticks.map((at) => (
        <text key={at} x={x(at)} y={height - 6} fontSize={12} textAnchor="middle" fill={theme.colors.text.secondary}>
          {clock(at, to - from)}
        </text>
      ))}
    </svg>
  );
}

function Heatmap({ frames, width, height, theme }) {
  const bucket = (frame) => Number(frame.fields[1].labels.le.replace('+Inf', 'Infinity'));
  const sorted = [...frames].sort((one, other) => bucket(one) - bucket(other));
  // Each series counts what is at most `le`, so the difference of two neighbours is the content of one cell.
  const cells = sorted.map((frame, index) => {
    const below = sorted[index - 1];
    const earlier = new Map(below?.fields[0].values.map((at, row) => [at, below.fields[1].values[row]]));
    return frame.fields[1].values.map((value, row) => Math.max(0, value - (earlier.get(frame.fields[0].values[row]) ?? 0)));
  });
  const most = Math.max(1, ...cells.flat());
  const [w, h] = [(width - 60) / Math.max(...cells.map((row) => row.length)), height / sorted.length];
  return (
    <svg width={width} height={height} fill={theme.colors.text.secondary}>
      {cells.map((row, at) => (
        <g key={at}>
          <text x={0} y={height - at * h - h / 2 + 4} fontSize={10}>{sorted[at].fields[1].labels.le}</text>
          {row.map((value, index) => (
            <rect key={index} x={60 + index * w} y={height - (at + 1) * h} width={Math.max(1, w - 1)} height={Math.max(1, h - 1)}
              fill="orange" fillOpacity={Math.sqrt(value / most)} />
          ))}
        </g>
      ))}
    </svg>
  );
}

const KINDS = {
  bargauge: Bars,
  heatmap: Heatmap,
  stat: Stat,
  'state-timeline': StateTimeline,
  table: TableOf,
  timeseries: Lines,
};

function isEmpty(panel, frames) {
  const shown = panel.type === 'table' ? frames.slice(0, 1) : frames;
  return !shown.some((frame) => frame.length > 0 && frame.fields.length > 0);
}

/** The content of a panel. Without data it says what Grafana says: the panel's `noValue`. */
export function Content(drawing) {
  const { panel, frames, width, height, theme } = drawing;
  if (isEmpty(panel, frames)) {
    const style = { width, height, display: 'grid', placeItems: 'center', textAlign: 'center', color: theme.colors.text.secondary };
    return <div data-nothing style={style}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  }
  const Kind = KINDS[panel.type];
  if (!Kind) throw new Error(`${panel.title}: a ${panel.type} panel cannot be drawn`);
  return <Kind {...drawing} />;
}
