// Reads a rule file. std.parseYaml of jsonnet 0.18 aborts on a string that contains a line break. So block scalars (`|`
// and `>-`) are read here, and std.parseYaml reads the text in which each of them is replaced by its number.

// The number of spaces at the start of a line. (std.lstripChars of jsonnet 0.18 takes a minute for a rule file.)
local indent(line, at=0) = if at < std.length(line) && line[at] == ' ' then indent(line, at + 1) else at;
local isBlank(line) = indent(line) == std.length(line);

// The style of the block that starts on this line (`expr: |`), or null.
local style(line) =
  local words = std.split(line, ' ');
  local count = std.length(words);
  local last = words[count - 1];
  if count > 1 && std.endsWith(words[count - 2], ':') && std.member(['|', '|-', '|+', '>', '>-', '>+'], last) then last;

// The number of the first line behind the block that starts on line `start`.
local endOf(lines, start) =
  local least = indent(lines[start]);
  local isInside(line) = isBlank(line) || indent(line) > least;
  local search(at) = if at < std.length(lines) && isInside(lines[at]) then search(at + 1) else at;
  search(start + 1);

local decode(lines, style) =
  local text = [std.substr(line, indent(lines[0]), std.length(line)) for line in lines if !isBlank(line)];
  if style == '|' then std.lines(text)
  else if style == '>-' then std.join(' ', text)
  else error 'this style of a string is not supported: ' + style;

{
  parse(text):
    local lines = std.split(text, '\n');
    local starts = [at for at in std.range(0, std.length(lines) - 1) if style(lines[at]) != null];
    local ends = [endOf(lines, start) for start in starts];
    local blocks = [
      decode(lines[starts[n] + 1:ends[n]], style(lines[starts[n]]))
      for n in std.range(0, std.length(starts) - 1)
    ];
    // The lines from the end of the block before block `n` to the start of that block.
    local outside(n) = lines[if n == 0 then 0 else ends[n - 1]:if n < std.length(starts) then starts[n] else std.length(lines)];
    local field(n) = std.split(lines[starts[n]], ':')[0] + ': "block %d"' % n;
    local skeleton = std.flattenArrays(
      [outside(n) + [field(n)] for n in std.range(0, std.length(starts) - 1)] + [outside(std.length(starts))]
    );
    local restore(value) =
      if std.isObject(value) then { [name]: restore(value[name]) for name in std.objectFields(value) }
      else if std.isArray(value) then [restore(item) for item in value]
      else if std.isString(value) && std.startsWith(value, 'block ') then blocks[std.parseInt(std.split(value, ' ')[1])]
      else value;
    restore(std.parseYaml(std.lines(skeleton))),
}
