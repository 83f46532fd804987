"""gdb commands for programs that use runnel; they work on core dumps too.

    (gdb) source scripts/gdb/runnel_gdb.py
    (gdb) info goroutines
    (gdb) goroutine 7 bt
    (gdb) goroutine 7 info locals
    (gdb) goroutine all bt 5

The library must have been built with -g. Core dumps are to be the kernel's (ulimit -c unlimited): gdb's
own gcore leaves out memory that has guard pages in it, and so the stacks. Nothing of the program is run or changed: a parked
goroutine is shown by an unwinder that, while the command lasts, says that the innermost frame of the
current thread was called from where the goroutine goes on.
"""

import gdb
import gdb.unwinder

PAGE_MASK = (1 << 64) - 1
# As in src/runtime/stack_depot.cpp, should the compiler have left the constants out.
CONSTANTS = {"colours": 8, "colour_step": 128}

# Name of each register that a context keeps, in the order of its fields sp, pc, fp, extra.
REGISTERS = {
    "i386:x86-64": ("rsp", "rip", "rbp", "rbx"),
    "aarch64": ("sp", "pc", "x29", "x19"),
}

REASONS = {
    "chan_receive": "chan receive",
    "chan_send": "chan send",
    "chan_receive_nil": "chan receive (nil chan)",
    "chan_send_nil": "chan send (nil chan)",
    "select_no_cases": "select (no cases)",
    "mutex_lock": "sync.Mutex.Lock",
    "shared_mutex_lock": "sync.RWMutex.Lock",
    "shared_mutex_rlock": "sync.RWMutex.RLock",
    "wait_group_wait": "sync.WaitGroup.Wait",
    "cond_wait": "sync.Cond.Wait",
    "io_wait": "IO wait",
}


def constant(name):
    try:
        return int(gdb.parse_and_eval(f"'runnel::runtime::(anonymous namespace)::{name}'"))
    except gdb.error:
        return CONSTANTS[name]


def atomic(value):
    """What a std::atomic holds, in any version of libstdc++."""
    while value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        fields = value.type.strip_typedefs().fields()
        value = value[next(f for f in fields if hasattr(f, "bitpos"))]  # a static one has none
    return value


class Goroutine:
    """One goroutine, read from its control block."""

    def __init__(self, block):
        self.block = block
        self.id = int(block["id"])

    def name(self):
        size = int(self.block["name_size"])
        if size == 0:
            return ""
        return self.block["name_text"].string(errors="replace", length=size)

    def thread(self):
        """The gdb thread it runs on; None while it is parked or waits to run."""
        machine = atomic(self.block["on_cpu"])
        if int(machine) == 0:
            return None
        tid = int(atomic(machine.dereference()["tid"]))
        for thread in gdb.selected_inferior().threads():
            if thread.ptid[1] == tid or thread.ptid[2] == tid:
                return thread
        return None

    def state(self):
        reason = str(atomic(self.block["reason"])).rsplit("::", 1)[-1]
        if reason != "none":
            return REASONS.get(reason, reason)
        return "running" if int(atomic(self.block["on_cpu"])) != 0 else "runnable"

    def place(self):
        """Function and line at the top of its stack, outside of the library."""
        try:
            with shown(self):
                frame = gdb.selected_frame()
                while frame is not None:
                    function = frame.name() or "??"
                    if not is_hidden(function):
                        line = frame.find_sal()
                        where = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
                        return function + where
                    frame = frame.older()
        except gdb.error:
            pass
        return "??"


def is_hidden(function):
    return function.startswith(("runnel::", "runnel_", "std::", "__", "syscall"))


def goroutines():
    """All that are alive, by id."""
    try:
        memory = gdb.parse_and_eval("'runnel::arch::(anonymous namespace)::memory'")
        block_type = gdb.lookup_type("runnel::detail::goroutine")
    except gdb.error as error:
        raise gdb.GdbError(f"no runnel in this program, or none with debug information: {error}")
    found = []
    colours = constant("colours")
    step = constant("colour_step")
    arenas = memory["arenas"]["_M_elems"]
    for i in range(int(atomic(memory["count"]))):
        arena = atomic(arenas[i]).dereference()
        size = 256 * 1024 << int(arena["stack_class"])
        for slot in range(int(atomic(arena["carved"]))):
            low = int(arena["base"]) + slot * size
            address = low + size - block_type.sizeof - low // size % colours * step
            block = gdb.Value(address).cast(block_type.pointer()).dereference()
            try:
                if atomic(block["alive"]):
                    found.append(Goroutine(block))
            except gdb.MemoryError:
                pass  # a page that the core dump does not have
    return sorted(found, key=lambda g: g.id)


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class ContextUnwinder(gdb.unwinder.Unwinder):
    """Puts a parked context below the innermost frame of the current thread."""

    def __init__(self):
        super().__init__("runnel goroutine")
        self.innermost = None  # (sp, pc) of the frame to put it below; None: inactive
        self.values = {}

    def __call__(self, pending):
        if self.innermost is None:
            return None
        sp_name, pc_name = registers()[:2]
        sp = int(pending.read_register(sp_name)) & PAGE_MASK
        pc = int(pending.read_register(pc_name)) & PAGE_MASK
        if (sp, pc) != self.innermost:
            return None
        info = pending.create_unwind_info(
            FrameId(pending.read_register(sp_name), pending.read_register(pc_name)))
        for name, value in self.values.items():
            # gdb wants each with the register's own type.
            info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info


UNWINDER = ContextUnwinder()


def registers():
    architecture = gdb.selected_inferior().architecture().name()
    if architecture not in REGISTERS:
        raise gdb.GdbError(f"runnel does not run on {architecture}")
    return REGISTERS[architecture]


class shown:
    """Within this, the selected frame and those above it are the goroutine's."""

    def __init__(self, goroutine):
        self.goroutine = goroutine

    def __enter__(self):
        self.thread = gdb.selected_thread()
        if self.thread is None:
            raise gdb.GdbError("no process and no core dump")
        running = self.goroutine.thread()
        if running is not None:
            running.switch()
            return
        if int(atomic(self.goroutine.block["on_cpu"])) != 0:
            raise gdb.GdbError("its thread is gone")
        names = registers()
        newest = gdb.newest_frame()
        context = self.goroutine.block["context"]
        # Read all of it first: with the unwinder active, frames change.
        values = {name: int(context[field])
                  for name, field in zip(names, ("sp", "pc", "fp", "extra"))}
        innermost = tuple(int(newest.read_register(name)) & PAGE_MASK for name in names[:2])
        UNWINDER.values = values
        UNWINDER.innermost = innermost
        gdb.invalidate_cached_frames()
        try:
            gdb.newest_frame().older().select()
        except BaseException:
            self.leave()
            raise

    def leave(self):
        UNWINDER.innermost = None
        gdb.invalidate_cached_frames()

    def __exit__(self, *unused):
        self.leave()
        self.thread.switch()


class InfoGoroutines(gdb.Command):
    """List the goroutines that are alive: id, name, state, and where they are."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        found = goroutines()
        for g in found:
            name = f' "{g.name()}"' if g.name() else ""
            mark = "*" if int(atomic(g.block["on_cpu"])) != 0 else " "
            print(f"{mark} {g.id}{name} [{g.state()}]: {g.place()}")
        print(f"{len(found)} goroutine{'' if len(found) == 1 else 's'}")


class GoroutineCommand(gdb.Command):
    """Run a gdb command in the frames of a goroutine: goroutine ID|all COMMAND.

    goroutine 7 bt
    goroutine all bt 5"""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        which, _, command = argument.strip().partition(" ")
        command = command.strip() or "bt"
        if which != "all" and not which.isdigit():
            raise gdb.GdbError("usage: goroutine ID|all COMMAND")
        chosen = [g for g in goroutines() if which == "all" or g.id == int(which)]
        if not chosen and which != "all":
            raise gdb.GdbError(f"there is no goroutine {which}")
        for g in chosen:
            if which == "all":
                name = f' "{g.name()}"' if g.name() else ""
                print(f"\ngoroutine {g.id}{name} [{g.state()}]:")
            try:
                with shown(g):
                    run(command, parked=UNWINDER.innermost is not None)
            except gdb.error as error:
                print(f"goroutine {g.id}: {error}")


def run(command, parked):
    """A backtrace of a parked goroutine is shown without the thread's frame that it hangs below."""
    words = command.split()
    backtrace = parked and words[0] in ("bt", "backtrace", "where")
    if backtrace and words[-1].isdigit():
        words[-1] = str(int(words[-1]) + 1)
    text = gdb.execute(" ".join(words) if backtrace else command, to_string=True)
    if backtrace:
        lines = text.splitlines(keepends=True)
        while lines and not lines[0].startswith("#1 "):
            lines.pop(0)
        text = "".join(lines)
    print(text, end="")


gdb.unwinder.register_unwinder(None, UNWINDER, replace=True)
InfoGoroutines()
GoroutineCommand()
