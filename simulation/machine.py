"""What a compiled loop may know of the machine: arrays that it borrows, records that it will need soon (Numba)."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE_BYTES = 64  # what a processor's caches take at once


@intrinsic
def borrowed(_context, arrays):  # type: ignore[no-untyped-def]
    """The same array, or named tuple of arrays, without an owner.

    Numba counts no references to it, which would cost most of the time. The caller holds it as long as its call lasts.
    """

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _without_owner(context, builder, signature.args[0], arguments[0])

    return arrays(arrays), build


def _without_owner(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.BaseTuple):
        parts = [
            _without_owner(context, builder, kind.types[number], part)
            for number, part in enumerate(cgutils.unpack_tuple(builder, value))
        ]
        return context.make_tuple(builder, kind, parts)
    made = context.make_array(kind)(context, builder, value)
    made.meminfo = cgutils.get_null_value(made.meminfo.type)
    return made._getvalue()


@intrinsic
def fetch_ahead(_context, records, number):  # type: ignore[no-untyped-def]
    """Bring a record into the processor's caches while something else is done; says and changes nothing."""

    def build(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        first = cgutils.get_item_pointer(context, builder, kind, array, [arguments[1]])
        first = builder.bitcast(first, cgutils.voidptr_t)
        takes = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[cgutils.int32_t] * 3])
        fetch = cgutils.get_or_insert_function(builder.module, takes, "llvm.prefetch.p0")
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        for byte in [*range(0, size, _LINE_BYTES), size - 1]:
            line = builder.gep(first, [cgutils.intp_t(byte)])
            # To read, to keep in all caches, data and not code.
            builder.call(fetch, [line, cgutils.int32_t(0), cgutils.int32_t(3), cgutils.int32_t(1)])
        return context.get_dummy_value()

    return types.void(records, types.int64), build
