"""Emitted text (emit.py) as an object file, by LLVM. Imports llvmlite, when it is used.

The text is Python over 64-bit integers: locals, and pointers to elements of declared widths. The statements and expressions
that it is made of are translated here, none other; that they mean what Python means by them, tests show. Numbers wrap at
64 bits, and dividing by zero gives 0.

No two arrays overlap, and LLVM is told so (by types, "tbaa"): what it has loaded of one survives a store to another.
"""

# llvmlite has no types.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import binding, ir

from mapcount.replay.drivers import target_machine

if TYPE_CHECKING:
    from collections.abc import Callable

_I64, _BIT = ir.IntType(64), ir.IntType(1)
_ADDRESS = ir.PointerType()
_DRIVERS = ("run_rows", "ask")
_POINTERS = {"arrays": _ADDRESS, "refusals": _ADDRESS, "costs": _ADDRESS}
"""Parameters that are pointers, to integers of 64 bits; all others are such integers."""
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.LShift: "shl",
    ast.RShift: "ashr",
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def object_file(text: str, name: str) -> bytes:
    """
    Compile an emitted text; return an object file in which its drivers are called DRIVER_NAME.

    Raises ValueError for what emitted text never has.
    """
    target = target_machine()
    module = ir.Module(name)
    module.triple, module.data_layout = target.triple, str(target.target_data)
    functions: dict[str, ir.Function] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = _Function(module, functions, node, name).made
    made = binding.parse_assembly(str(module))
    made.verify()
    builder = binding.create_pass_builder(target, binding.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(made, builder)
    return target.emit_object(made)


class _Pointer(NamedTuple):
    address: Any
    element: ir.IntType
    signed: bool
    alias: Any
    """its own type, for tbaa"""


class _Loop(NamedTuple):
    again: Any
    after: Any


class _Function:
    """One function of the text as LLVM instructions: locals are stack slots, which LLVM's passes make registers of."""

    def __init__(self, module: ir.Module, functions: dict[str, ir.Function], node: ast.FunctionDef, name: str) -> None:
        self._module, self._functions = module, functions
        names = [argument.arg for argument in node.args.args]
        is_driver = node.name in _DRIVERS
        kind = ir.FunctionType(_returned(node), [_POINTERS.get(one, _I64) for one in names])
        self.made = ir.Function(module, kind, f"{node.name}_{name}" if is_driver else node.name)
        if not is_driver:
            self.made.linkage = "internal"
            self.made.attributes.add("alwaysinline")
        self._entry = ir.IRBuilder(self.made.append_basic_block("entry"))
        self._pointers: dict[str, _Pointer] = {}
        self._slots: dict[str, Any] = {}
        self._loops: list[_Loop] = []
        self._build = ir.IRBuilder(self.made.append_basic_block("body"))
        for one, value in zip(names, self.made.args, strict=True):
            if one in _POINTERS:
                self._pointers[one] = _Pointer(value, _I64, signed=True, alias=self._alias(one))
            else:
                self._store_local(one, value)
        self._statements(node.body)
        if not self._build.block.is_terminated:
            self._build.ret_void()
        self._entry.branch(self.made.blocks[1])

    # Statements.

    def _statements(self, nodes: list[ast.stmt]) -> None:
        for node in nodes:
            if self._build.block.is_terminated:  # after break, continue or return nothing is reached
                return
            self._statement(node)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="pointer")) as call):
                self._pointers[name] = self._pointer(name, call)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value):
                for target, part in zip(targets, self._values(value), strict=True):
                    self._assign(target, part)
            case ast.Assign(targets=[target], value=value):
                self._assign(target, self._value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=operator, value=value):
                self._store_local(name, self._binary(operator, self._local(name), self._value(value)))
            case ast.Expr(value=ast.Call() as call):
                self._call(call)
            case ast.If():
                self._branch(node.test, lambda: self._statements(node.body), lambda: self._statements(node.orelse))
            case ast.For(target=ast.Name(id=name), iter=ast.Call(func=ast.Name(id="range"), args=bounds)):
                self._for(name, bounds, node.body)
            case ast.While():
                self._while(node)
            case ast.Break():
                self._build.branch(self._loops[-1].after)
            case ast.Continue():
                self._build.branch(self._loops[-1].again)
            case ast.Return(value=ast.expr() as value):
                values = self._values(value)
                self._build.ret(values[0] if len(values) == 1 else self._packed(values))
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case _:
                raise _refused(node)

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self._store_local(name, value)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                pointer = self._pointers[name]
                place = self._build.gep(pointer.address, [self._value(index)], source_etype=pointer.element)
                kept = value if pointer.element == _I64 else self._build.trunc(value, pointer.element)
                self._build.store(kept, place, align=pointer.element.width // 8).set_metadata("tbaa", pointer.alias)
            case _:
                raise _refused(target)

    def _branch(
        self, test: ast.expr, body: Callable[[], object], orelse: Callable[[], object]
    ) -> list[tuple[Any, Any]]:
        """Build both branches; return the value and the last block of each that goes on."""
        truth = self._truth(test)
        blocks = [self.made.append_basic_block() for _ in range(2)]
        after = self.made.append_basic_block()
        self._build.cbranch(truth, *blocks)
        ends = []
        for block, branch in zip(blocks, (body, orelse), strict=True):
            self._build.position_at_end(block)
            value = branch()
            if not self._build.block.is_terminated:
                ends.append((value, self._build.block))
                self._build.branch(after)
        self._build.position_at_end(after)
        if not ends:
            self._build.unreachable()
        return ends

    def _for(self, name: str, bounds: list[ast.expr], body: list[ast.stmt]) -> None:
        first, end, step = _range(bounds)
        counter, stop = self._entry.alloca(_I64), self._value(end)
        self._build.store(self._value(first), counter)
        test, turn, again, after = (self.made.append_basic_block() for _ in range(4))
        self._build.branch(test)
        self._build.position_at_end(test)
        now = self._build.load(counter, typ=_I64)
        self._build.cbranch(self._build.icmp_signed("<" if step > 0 else ">", now, stop), turn, after)
        self._build.position_at_end(turn)
        self._store_local(name, now)
        self._turn(body, _Loop(again, after))
        self._build.position_at_end(again)
        self._build.store(self._build.add(now, ir.Constant(_I64, step)), counter)
        self._build.branch(test)
        self._build.position_at_end(after)

    def _while(self, node: ast.While) -> None:
        test, turn, after = (self.made.append_basic_block() for _ in range(3))
        self._build.branch(test)
        self._build.position_at_end(test)
        self._build.cbranch(self._truth(node.test), turn, after)
        self._build.position_at_end(turn)
        self._turn(node.body, _Loop(test, after))
        self._build.position_at_end(after)

    def _turn(self, body: list[ast.stmt], loop: _Loop) -> None:
        self._loops.append(loop)
        self._statements(body)
        self._loops.pop()
        if not self._build.block.is_terminated:
            self._build.branch(loop.again)

    # Expressions.

    def _values(self, node: ast.expr) -> list[Any]:
        """Return the values of a tuple, written down or returned by a call; else the one value."""
        if isinstance(node, ast.Tuple):
            return [self._value(one) for one in node.elts]
        value = self._value(node)
        parts = len(value.type) if isinstance(value.type, ir.LiteralStructType) else 0
        return [self._build.extract_value(value, part) for part in range(parts)] or [value]

    def _value(self, node: ast.expr) -> Any:  # noqa: PLR0911 (one a form)
        match node:
            case ast.Constant(value=int() as number):
                return ir.Constant(_I64, int(number))
            case ast.Name(id=name):
                return self._local(name)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return self._loaded(self._pointers[name], self._value(index))
            case ast.BinOp(left=left, op=operator, right=right):
                return self._binary(operator, self._value(left), self._value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._build.neg(self._value(operand))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._value(operand)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return self._build.not_(self._value(operand))
            case ast.Compare(ops=[_]) | ast.UnaryOp(op=ast.Not()):
                return self._build.zext(self._truth(node), _I64)
            case ast.BoolOp(op=operator, values=[first, *others]):
                return self._junction(operator, first, others)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._joined(self._branch(test, lambda: self._value(body), lambda: self._value(orelse)))
            case ast.Call(func=ast.Name(id="_int64"), args=[inner]):
                return self._value(inner)
            case ast.Call():
                return self._call(node)
        raise _refused(node)

    def _truth(self, node: ast.expr) -> Any:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._build.icmp_signed(_COMPARISONS[type(operator)], self._value(left), self._value(right))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return self._build.not_(self._truth(operand))
            case ast.Call(func=ast.Name(id="_int64"), args=[inner]):
                return self._truth(inner)
        return self._build.icmp_signed("!=", self._value(node), ir.Constant(_I64, 0))

    def _junction(self, operator: ast.boolop, first: ast.expr, others: list[ast.expr]) -> Any:
        """`and` and `or` are the first value that decides, else the last, and evaluate no more than that."""
        value = self._value(first)
        if not others:
            return value
        here, rest, after = self._build.block, self.made.append_basic_block(), self.made.append_basic_block()
        decided = (after, rest) if isinstance(operator, ast.Or) else (rest, after)
        self._build.cbranch(self._build.icmp_signed("!=", value, ir.Constant(_I64, 0)), *decided)
        self._build.position_at_end(rest)
        other = self._junction(operator, others[0], others[1:])
        end = self._build.block
        self._build.branch(after)
        self._build.position_at_end(after)
        return self._joined([(value, here), (other, end)])

    def _joined(self, ends: list[tuple[Any, Any]]) -> Any:
        joined = self._build.phi(_I64)
        for value, block in ends:
            joined.add_incoming(value, block)
        return joined

    def _binary(self, operator: ast.operator, left: Any, right: Any) -> Any:
        if type(operator) in _BINARY:
            return getattr(self._build, _BINARY[type(operator)])(left, right)
        zero, one = ir.Constant(_I64, 0), ir.Constant(_I64, 1)
        never = self._build.icmp_signed("==", right, zero)
        by = self._build.select(never, one, right)
        rest = self._build.srem(left, by)
        # LLVM divides towards zero, Python down.
        signs_differ = self._build.icmp_signed("<", self._build.xor(rest, by), zero)
        down = self._build.and_(signs_differ, self._build.icmp_signed("!=", rest, zero))
        if isinstance(operator, ast.Mod):
            found = self._build.add(rest, self._build.select(down, by, zero))
        else:
            found = self._build.sub(self._build.sdiv(left, by), self._build.zext(down, _I64))
        return self._build.select(never, zero, found)

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name) or node.func.id not in self._functions:
            raise _refused(node)
        return self._build.call(self._functions[node.func.id], [self._argument(one) for one in node.args])

    def _argument(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name) and node.id in self._pointers:
            return self._pointers[node.id].address
        return self._value(node)

    # Memory.

    def _pointer(self, name: str, call: ast.Call) -> _Pointer:
        """Make a pointer of an address and the name of a type, as `_int32`."""
        address, of = call.args
        assert isinstance(of, ast.Name)
        element = ir.IntType(int(of.id.removeprefix("_").removeprefix("u").removeprefix("int")))
        made = self._build.inttoptr(self._value(address), _ADDRESS)
        return _Pointer(made, element, signed=not of.id.startswith("_u"), alias=self._alias(name))

    def _loaded(self, pointer: _Pointer, index: Any) -> Any:
        place = self._build.gep(pointer.address, [index], source_etype=pointer.element)
        loaded = self._build.load(place, typ=pointer.element, align=pointer.element.width // 8)
        loaded.set_metadata("tbaa", pointer.alias)
        if pointer.element == _I64:
            return loaded
        return (self._build.sext if pointer.signed else self._build.zext)(loaded, _I64)

    def _alias(self, name: str) -> Any:
        root = self._module.add_metadata([ir.MetaDataString(self._module, "arrays")])
        kind = self._module.add_metadata([ir.MetaDataString(self._module, name), root, ir.Constant(_I64, 0)])
        return self._module.add_metadata([kind, kind, ir.Constant(_I64, 0)])

    def _local(self, name: str) -> Any:
        return self._build.load(self._slots[name], typ=_I64)

    def _store_local(self, name: str, value: Any) -> None:
        if name not in self._slots:
            self._slots[name] = self._entry.alloca(_I64)
        self._build.store(value, self._slots[name])

    def _packed(self, values: list[Any]) -> Any:
        packed = ir.Constant(self.made.function_type.return_type, ir.Undefined)
        for part, value in enumerate(values):
            packed = self._build.insert_value(packed, value, part)
        return packed


def _returned(node: ast.FunctionDef) -> Any:
    """Return the type of what a function returns: nothing, a number, or several."""
    values = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
    if not values:
        return ir.VoidType()
    width = len(values[0].elts) if isinstance(values[0], ast.Tuple) else 1
    return _I64 if width == 1 else ir.LiteralStructType([_I64] * width)


def _range(bounds: list[ast.expr]) -> tuple[ast.expr, ast.expr, int]:
    """Return where a range begins, where it ends, and its step, which is written down as a number."""
    match bounds:
        case [end]:
            return ast.Constant(0), end, 1
        case [first, end]:
            return first, end, 1
        case [first, end, step]:
            number = ast.literal_eval(step)
            if number:
                return first, end, number
    raise _refused(ast.Call(ast.Name("range"), bounds, []))


def _refused(node: ast.AST) -> ValueError:
    return ValueError(f"line {getattr(node, 'lineno', '?')} of an emitted text: {ast.unparse(node)}")
