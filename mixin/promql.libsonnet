// Finds the selectors and the label lists in a PromQL expression, and rewrites them.

local labelKeywords = ['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'];
local otherWords = ['and', 'or', 'unless', 'offset', 'bool', 'atan2', 'inf', 'nan'];

local isBlank(c) = c == ' ' || c == '\n' || c == '\t';
local isQuote(c) = c == '"' || c == "'" || c == '`';
// Numbers, durations and Grafana's variables ($job) are words, too.
local isWord(c) =
  c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':' || c == '.' || c == '$';
local isName(word) = !(word[0] >= '0' && word[0] <= '9' || word[0] == '.' || word[0] == '$');

local slice(text, from, to) = std.substr(text, from, to - from);

// The first position at or after `at` whose character does not pass the test.
local skip(text, at, test) = if at < std.length(text) && test(text[at]) then skip(text, at + 1, test) tailstrict else at;

// The position behind the quoted string that starts at `start`.
local endOfString(text, start) =
  local search(at) =
    if at >= std.length(text) then error 'a string without an end: ' + text
    else if text[at] == text[start] then at + 1
    else search(if text[at] == '\\' && text[start] != '`' then at + 2 else at + 1) tailstrict;
  search(start + 1);

// The position behind the next `bracket`. Quoted strings can contain brackets.
local closing(text, at, bracket) =
  if at >= std.length(text) then error '%s is missing: %s' % [bracket, text]
  else if text[at] == bracket then at + 1
  else closing(text, if isQuote(text[at]) then endOfString(text, at) else at + 1, bracket) tailstrict;

// The selector with this name (it can be empty) whose braces, if it has any, start at `at`.
local selector(text, name, at) =
  local hasBraces = at < std.length(text) && text[at] == '{';
  local end = if hasBraces then closing(text, at, '}') else at;
  { name: name, matchers: if hasBraces then slice(text, at + 1, end - 1) else '', end: end };

local word(text, start) =
  local end = skip(text, start, isWord);
  local name = slice(text, start, end);
  local next = skip(text, end, isBlank);
  local follows(c) = next < std.length(text) && text[next] == c;
  local nextWord = slice(text, next, skip(text, next, isWord));
  if std.member(labelKeywords, name) && follows('(') then
    local close = closing(text, next, ')');
    { keyword: name, between: slice(text, end, next), labels: slice(text, next + 1, close - 1), end: close }
  else if follows('{') then selector(text, name, next)
  // An operator, or a function or aggregation: sum(…), sum by (…) (…).
  else if !isName(name) || std.member(labelKeywords + otherWords, std.asciiLower(name)) then { end: end }
  else if follows('(') || nextWord == 'by' || nextWord == 'without' then { end: end }
  else selector(text, name, end);

// The piece of an expression that starts at `at`: a selector, a label list, or anything else.
local piece(text, at) =
  local c = text[at];
  local found =
    if isQuote(c) then { end: endOfString(text, at) }
    else if c == '[' then { end: closing(text, at, ']') }
    else if c == '{' then selector(text, '', at)
    else if isWord(c) then word(text, at)
    else { end: at + 1 };
  found { text: slice(text, at, found.end) };

local pieces(text, at=0, found=[]) =
  if at >= std.length(text) then found
  else local next = piece(text, at); pieces(text, next.end, found + [next]) tailstrict;

local join(items) = std.join(', ', std.filter(function(item) item != '', items));

local names(text) = [piece.name for piece in pieces(text) if std.objectHas(piece, 'matchers')];

{
  // The names of the metrics in an expression, or of the labels in a list.
  names:: names,

  // The labels in all lists with this keyword.
  labels(expr, keyword)::
    local lists = [piece.labels for piece in pieces(expr) if std.objectHas(piece, 'labels') && piece.keyword == keyword];
    std.flattenArrays([names(list) for list in lists]),

  // Adds `matchers(name)` to the selector of each metric, and `label(list)` to each list of labels to keep.
  rewrite(expr, matchers, label)::
    local rewritten(piece) =
      if std.objectHas(piece, 'matchers') && matchers(piece.name) != '' then
        '%s{%s}' % [piece.name, join([matchers(piece.name), piece.matchers])]
      else if std.objectHas(piece, 'labels') && std.member(['by', 'on'], piece.keyword) then
        '%s%s(%s)' % [piece.keyword, piece.between, join([label(piece.labels), piece.labels])]
      else piece.text;
    std.join('', [rewritten(piece) for piece in pieces(expr)]),
}
