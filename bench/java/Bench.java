import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The rows of the benchmarks that Java has: virtual threads (JDK 21) and java.util.concurrent.
 *
 * <pre>java Bench --list | NAME --procs P --time SECONDS</pre>
 *
 * <p>The number of processors is a property of the virtual threads' scheduler, set by the driver. Each line of the
 * output is a name, a metric and its value. A row is executed again and again with more operations, so the last
 * execution, the one that counts, runs compiled code.
 */
public final class Bench {
  /** What is compiled at run time is not measured while it is being compiled. */
  private static final double WARM_UP = 1.5e9;

  private Bench() {}

  private static Map<String, Harness.Body> rows() {
    Map<String, Harness.Body> rows = new LinkedHashMap<>();
    ProcRows.addTo(rows);
    ChannelRows.addTo(rows);
    SyncRows.addTo(rows);
    MapRows.addTo(rows);
    TimeRows.addTo(rows);
    ProgramRows.addTo(rows);
    ScaleRows.addTo(rows);
    return rows;
  }

  private static long more(long n, Harness.Sample sample, double wanted) {
    double next = wanted / Math.max(sample.nanoseconds(), 1) * n * 1.2;
    return sample.nanoseconds() >= wanted ? n : Math.max(n + 1, Math.min((long) next, n * 100));
  }

  /** More and more operations until one execution takes long enough. */
  private static void measure(String name, Harness.Body body, double seconds) throws Exception {
    double wanted = seconds * 1e9;
    long n = 1;
    for (long begin = System.nanoTime(); System.nanoTime() - begin < WARM_UP;) {
      Harness.Sample sample = body.run(n);
      if (!sample.extra().isEmpty()) {  // a million threads are warm-up enough
        print(name, sample, n);
        return;
      }
      n = more(n, sample, wanted);
    }
    for (;;) {
      Harness.Sample sample = body.run(n);
      if (sample.nanoseconds() >= wanted || n >= 1000000000) {
        print(name, sample, n);
        return;
      }
      n = more(n, sample, wanted);
    }
  }

  private static void print(String name, Harness.Sample sample, long n) {
    System.out.println(name + " ns/op " + sample.nanoseconds() / n / sample.units());
    sample.extra().forEach((metric, value) -> System.out.println(name + " " + metric + " " + value));
  }

  public static void main(String[] args) throws Exception {
    Map<String, Harness.Body> rows = rows();
    if (args.length == 0 || args[0].equals("--list")) {
      rows.keySet().forEach(System.out::println);
      return;
    }
    double seconds = 0.2;
    for (int i = 1; i + 1 < args.length; i += 2) {
      switch (args[i]) {
        case "--procs" -> Harness.procs = Integer.parseInt(args[i + 1]);
        case "--time" -> seconds = Double.parseDouble(args[i + 1]);
        default -> throw new IllegalArgumentException(args[i]);
      }
    }
    measure(args[0], rows.get(args[0]), seconds);
    System.exit(0);  // threads of a row may still wait in its queues
  }
}
