"""What a page shows of an exported cell: a box for each name, with signature, parameters and their comments, and the source to unfold.

Everything is read from the cell's text; nothing is imported or run. The boxes are Markdown for myst-nb (`_docs.py`), in which `py:function`
and its like make a name known to Sphinx, and so to links, index and search.
"""
import ast
import io
import json
import re
import tokenize
from copy import deepcopy

from _refresh import directives

LIBRARY = "steel_defects"
DEFINITIONS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef


# --- reading a cell

def flags(source): return {d.split()[0].rstrip(":"): d.partition(" ")[2].strip() for d in directives(source) if d}


def plain(source):
    "A cell's code without its directives."
    return "\n".join(line for line in source.splitlines() if not line.startswith("#|")).strip("\n")


def named(node):
    "The name a definition is known by: `Class.method` for one that `@patch` adds to a class."
    if any("patch" in ast.unparse(d) for d in node.decorator_list) and node.args.args and node.args.args[0].annotation:
        return f"{ast.unparse(node.args.args[0].annotation)}.{node.name}"
    return node.name


def assigned(node):
    "Public names that an assignment makes, `A = B = ...` and `A, B = ...` included."
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    single = [e for t in targets for e in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
    return [t.id for t in single if isinstance(t, ast.Name) and not t.id.startswith("_")]


def is_setter(node): return any(ast.unparse(d).endswith(".setter") for d in node.decorator_list)


def is_command(node): return isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "command" for d in node.decorator_list)


# --- a box for each name

def comments_of(source):
    "Line number to (comment, whether it stands alone)."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: (t.string.lstrip("# "), not t.line[:t.start[1]].strip()) for t in tokens if t.type == tokenize.COMMENT}


def comment_at(first, last, comments):
    "The comment on the lines of a parameter, or alone above them."
    for line in range(last, first-1, -1):
        if line in comments and not comments[line][1]: return comments[line][0]
    above = []
    while (found := comments.get(first-1-len(above))) and found[1]: above.insert(0, found[0])
    return " ".join(above)


def parameters(node, comments, method=False):
    "Name, type, default and comment of each parameter, and of what is returned."
    a, rows = node.args, []
    plain_args = a.posonlyargs+a.args
    defaults = [None]*(len(plain_args)-len(a.defaults))+a.defaults
    pairs = list(zip(plain_args, defaults))[1 if method else 0:]+list(zip(a.kwonlyargs, a.kw_defaults))
    pairs = [(p.arg, p, d) for p, d in pairs]+[(stars+p.arg, p, None) for stars, p in (("*", a.vararg), ("**", a.kwarg)) if p]
    for name, p, default in pairs:
        rows.append((name, ast.unparse(p.annotation) if p.annotation else "", ast.unparse(default) if default is not None else "",
                     comment_at(p.lineno, (default or p).end_lineno, comments)))
    if node.returns and ast.unparse(node.returns) != "None":
        rows.append(("", ast.unparse(node.returns), "", comment_at(node.returns.lineno, node.returns.end_lineno, comments)))
    return rows


def fields(node, comments):
    "The same of a class: fields of a dataclass, and what has a comment of its own."
    rows = []
    for n in node.body:
        if not isinstance(n, (ast.Assign, ast.AnnAssign)) or not assigned(n): continue
        note = comment_at(n.lineno, n.end_lineno, comments)
        value = ast.unparse(n.value) if n.value else ""
        if is_dataclass(node) or note:
            kind = ast.unparse(n.annotation) if isinstance(n, ast.AnnAssign) else ""
            rows.append((assigned(n)[0], kind, value if len(value) < 60 else "...", note))
    return rows


def is_dataclass(node): return any("dataclass" in ast.unparse(d) for d in node.decorator_list)


def shown_methods(node):
    "Public ones, and `__call__` and its like where they have a docstring; a property once, not again for its setter."
    methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and m.name != "__init__" and not is_setter(m)]
    return [m for m in methods if not m.name.startswith("_") or m.name.startswith("__") and ast.get_docstring(m)]


def signature(node, method=False):
    "Names and defaults: types stand in the table below."
    args = deepcopy(node.args)
    for p in [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]:
        if p: p.annotation = None
    if method: (args.posonlyargs or args.args).pop(0)
    return ast.unparse(args)


def escaped(text, own=()):
    "A comment as Markdown: only its `names` mean anything; those of `own` are parameters and no links."
    def part(i, s):
        if i % 2: return f"{{sd-param}}`{s}`" if s in own else f"`{s}`"
        return re.sub(r"([\\*_\[\]<>$|#~{}])", r"\\\1", s)
    return "".join(part(i, s) for i, s in enumerate(text.split("`")))


def table(rows):
    "Parameters as a table without a head."
    rows = [r for r in rows if any(r[1:])]
    if not rows: return ""
    own, lines = {r[0] for r in rows}, ["``````{list-table}", ":class: params", ":widths: auto", ""]
    for name, kind, default, note in rows:
        first = f"{{sd-param}}`{name}`" if name else "*returns*"
        kind = " ".join([f"{{sd-type}}`{kind}`"]*bool(kind)+[f"= {{sd-param}}`{default}`"]*bool(default and "`" not in default))
        lines += [f"* - {first}", f"  - {kind}", f"  - {escaped(note, own)}"]
    return "\n".join(lines+["``````"])


def folded(code, summary="Source"):
    "Code to unfold."
    return f'<details class="source"><summary>{summary}</summary>\n\n``````python\n{code}\n``````\n\n</details>'


def lines_of(source, node):
    first = min([node.lineno]+[d.lineno for d in getattr(node, "decorator_list", [])])
    return "\n".join(source.splitlines()[first-1:node.end_lineno])


def box(kind, title, module, *parts, fence="````````"):
    module = f":module: {LIBRARY}.{module}\n" if module else ""
    return f"{fence}{{{kind}}} {title}\n{module}\n"+"\n\n".join(p for p in parts if p)+f"\n{fence}"


def doc(node): return escaped(" ".join((ast.get_docstring(node) or "").split()))


def command_box(node, comments, code):
    "A command of the shell: arguments in capitals, then options."
    rows = parameters(node, comments)
    n = len(node.args.args)
    rows = [(r[0].upper() if i < n else f"--{r[0].replace('_', '-')}", *r[1:]) for i, r in enumerate(rows) if r[0]]
    title = " ".join([f"steel-defects {node.name}", *(f"[{r[0]}]" if r[2] else r[0] for r in rows)])
    return box("describe", title, "", doc(node), table(rows), folded(code))


def method_box(m, owner, module, comments):
    decorators = [ast.unparse(d) for d in m.decorator_list]
    kind = "property" if any("property" in d or "as_prop" in d for d in decorators) else "method"
    title = f"{owner}.{m.name}"+("" if kind == "property" else f"({signature(m, 'staticmethod' not in decorators)})")
    return kind, title, doc(m), table(parameters(m, comments, "staticmethod" not in decorators))


def definition_box(node, source, comments, module):
    "Signature, one line, parameters, methods, source."
    code = lines_of(source, node)
    if is_command(node): return command_box(node, comments, code)
    if isinstance(node, ast.ClassDef):
        init = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"), None)
        rows = fields(node, comments)
        given = signature(init, True) if init else ", ".join(r[0]+f"={r[2]}"*bool(r[2]) for r in rows) if is_dataclass(node) else ""
        if init: rows = [r for r in parameters(init, comments, True) if r[0]]+rows
        methods = [method_box(m, node.name, module, comments) for m in shown_methods(node)]
        inner = [box(f"py:{kind}", title, module, *parts, fence="```````") for kind, title, *parts in methods]
        return box("py:class", f"{node.name}({given})", module, doc(node), table(rows), folded(code), *inner)
    if "." in named(node):
        kind, title, *parts = method_box(node, named(node).split(".")[0], module, comments)
        return box(f"py:{kind}", title, module, *parts, folded(code))
    return box("py:function", f"{node.name}({signature(node)})", module, doc(node), table(parameters(node, comments)), folded(code))


def data_box(name, node, source, comments, module):
    "A constant with its value, unfolded where that is long."
    value = ast.unparse(node.value) if node.value else ""
    short = isinstance(node, ast.AnnAssign) or len(node.targets) == 1 and len(value) <= 110
    text = box("py:data", name, module, escaped(comment_at(node.lineno, node.end_lineno, comments)), "" if short else folded(lines_of(source, node)))
    return text.replace("\n\n", f"\n:value: {json.dumps(value) if value.startswith(chr(39)) else value}\n\n", 1) if short and value else text


def exported(source, module):
    "What a page shows of an exported cell: a box for each name, the rest to unfold."
    source = plain(source)
    tree, comments, parts, rest = ast.parse(source).body, comments_of(source), [], []
    for node in tree:
        if isinstance(node, (ast.Import, ast.ImportFrom)): continue
        if isinstance(node, DEFINITIONS) and (not node.name.startswith("_") or is_command(node)):
            parts.append(definition_box(node, source, comments, module))
        elif names := assigned(node):
            parts += [box("py:data", n, module) for n in names[:-1]]
            parts.append(data_box(names[-1], node, source, comments, module))
        else: rest.append(node)
    if rest:
        names = [n.name if isinstance(n, DEFINITIONS) else ast.unparse(n.targets[0]) if isinstance(n, ast.Assign) else "" for n in rest]
        of = ", ".join(f"<code>{n}</code>" for n in names if n) or "this step"
        parts.append(folded("\n\n".join(lines_of(source, n) for n in rest), f"Source of {of}"))
    return "\n\n".join(parts)
