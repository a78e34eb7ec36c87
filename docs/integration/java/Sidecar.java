import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryUsage;
import java.lang.management.ThreadMXBean;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Tells the BlackBox daemon of this node what a JVM measures of itself, and reports its crash.
 *
 * <pre>
 *   In an application:  Sidecar.start();
 *   To try it out:      java Sidecar.java [--once]
 * </pre>
 *
 * Needs Java 11. Reads BLACKBOX_URL (or NODE_IP), BLACKBOX_API_KEY or BLACKBOX_TOKEN_FILE, POD_NAME, POD_NAMESPACE,
 * BLACKBOX_INTERVAL. Nothing in here throws into the application, or keeps it from ending.
 */
public final class Sidecar {
    private static final int QUEUE = 60; // objects kept while the daemon cannot take them; then the oldest go
    private static final Duration TIMEOUT = Duration.ofSeconds(3); // for one request
    private static final Duration PATIENCE = Duration.ofSeconds(15); // that a dying process gives its report
    private static final Duration LONGEST_WAIT = Duration.ofMinutes(5); // whatever Retry-After says
    private static final int MESSAGE = 4_000; // characters: at most 16 KiB as UTF-8, which is the daemon's bound
    private static final int STACK = 10_000; // characters: at most 60 KB even if JSON has to escape each; bound 64 KiB

    private final String url = env("BLACKBOX_URL", "http://" + env("NODE_IP", "127.0.0.1") + ":8080");
    private final long intervalSeconds = interval();
    private final Map<String, Object> identity = new LinkedHashMap<>();
    // The daemon is on this node: never by way of a proxy.
    private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1).proxy(HttpClient.Builder.NO_PROXY).connectTimeout(TIMEOUT).build();

    private final ArrayDeque<Map<String, Object>> queue = new ArrayDeque<>(); // it and the rest: guarded by `this`
    private Instant notBefore = Instant.MIN;
    private long dropped;
    private long errors;

    /** What came of a request: status 0 is no answer at all; `wait` is what Retry-After asks for. */
    private static final class Answer {
        final int status;
        final Optional<Duration> wait;

        Answer(int status, Optional<Duration> wait) {
            this.status = status;
            this.wait = wait;
        }

        boolean isAccepted() {
            return status >= 200 && status < 300;
        }

        /** It would be refused again. */
        boolean isRefused() {
            return Set.of(400, 413, 415).contains(status);
        }

        boolean isForNow() {
            return Set.of(0, 408, 429).contains(status) || status >= 500;
        }
    }

    public Sidecar() {
        identity.put("pod_name", env("POD_NAME", ""));
        identity.put("namespace", env("POD_NAMESPACE", ""));
        containerId().ifPresent(id -> identity.put("container_id", id));
    }

    /** Measures in the background from now on, and reports what nobody catches. */
    public static Sidecar start() {
        Sidecar sidecar = new Sidecar();
        Thread.UncaughtExceptionHandler previous = Thread.getDefaultUncaughtExceptionHandler();
        Thread.setDefaultUncaughtExceptionHandler((thread, error) -> {
            sidecar.lastWords(thread, error);
            // Then all goes as it would have gone without us. The exit code is 1 if it was the main thread.
            if (previous != null) {
                previous.uncaughtException(thread, error);
            } else {
                System.err.print("Exception in thread \"" + thread.getName() + "\" " + stackOf(error));
            }
        });
        Thread thread = new Thread(sidecar::run, "blackbox");
        thread.setDaemon(true);
        thread.start();
        Runtime.getRuntime().addShutdownHook(new Thread(sidecar::flush, "blackbox-flush"));
        return sidecar;
    }

    /** The daemon takes an entry's type from words in its key: memory, heap, gc, cpu, thread, socket, jvm, error. */
    private Map<String, Object> measure() {
        MemoryUsage heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage();
        MemoryUsage rest = ManagementFactory.getMemoryMXBean().getNonHeapMemoryUsage();
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        long[] deadlocked = threads.findDeadlockedThreads();
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("heap_used_bytes", heap.getUsed());
        data.put("heap_committed_bytes", heap.getCommitted());
        data.put("heap_max_bytes", heap.getMax());
        data.put("memory_non_heap_used_bytes", rest.getUsed());
        List<GarbageCollectorMXBean> collectors = ManagementFactory.getGarbageCollectorMXBeans();
        data.put("gc_collections_total", collectors.stream().mapToLong(gc -> gc.getCollectionCount()).sum());
        data.put("gc_ms_total", collectors.stream().mapToLong(gc -> gc.getCollectionTime()).sum());
        OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
        data.put("cpu_seconds_total", system.getProcessCpuTime() / 1e9);
        data.put("threads", threads.getThreadCount());
        data.put("threads_peak", threads.getPeakThreadCount());
        data.put("threads_deadlocked", deadlocked == null ? 0 : deadlocked.length);
        openSockets().ifPresent(count -> data.put("sockets_open", count));
        data.put("jvm_classes_loaded", ManagementFactory.getClassLoadingMXBean().getLoadedClassCount());
        data.put("jvm_version", System.getProperty("java.vm.version"));
        data.put("jvm_uptime_seconds", ManagementFactory.getRuntimeMXBean().getUptime() / 1000);
        synchronized (this) {
            data.put("telemetry_errors_total", errors);
            data.put("telemetry_dropped_total", dropped);
        }
        return data;
    }

    private Map<String, Object> sample() {
        Map<String, Object> sample = new LinkedHashMap<>(identity);
        sample.put("runtime", "jvm");
        sample.put("timestamp", Instant.now().toString());
        sample.put("data", measure());
        return sample;
    }

    private void run() {
        while (true) {
            try {
                keep(sample());
                flush();
            } catch (RuntimeException error) {
                log(error.toString());
            }
            try {
                TimeUnit.SECONDS.sleep(intervalSeconds);
            } catch (InterruptedException end) {
                return;
            }
        }
    }

    private synchronized void keep(Map<String, Object> sample) {
        queue.add(sample);
        while (queue.size() > QUEUE) {
            queue.remove();
            dropped++;
        }
    }

    /** Sends all that is queued as one batch. What the daemon does not take now stays for the next time. */
    private synchronized void flush() {
        if (queue.isEmpty() || Instant.now().isBefore(notBefore)) {
            return;
        }
        Answer answer = post("/api/v1/telemetry", Map.of("entries", queue));
        notBefore = Instant.now().plus(answer.wait.orElse(Duration.ZERO));
        if (answer.isRefused()) {
            dropped += queue.size();
        }
        if (answer.isAccepted() || answer.isRefused()) {
            queue.clear();
        }
        if (!answer.isAccepted()) {
            errors++;
        }
    }

    private void lastWords(Thread thread, Throwable error) {
        try {
            keep(sample());
            flush();
            report(thread, error);
        } catch (Throwable failure) { // out of memory, for one
            log(failure.toString());
        }
    }

    /** Reports what was thrown as an incident. If it ended another thread than the main one, the others go on. */
    public boolean report(Thread thread, Throwable error) {
        boolean isOom = error instanceof OutOfMemoryError;
        boolean isMain = thread.getName().equals("main");
        Map<String, Object> incident = new LinkedHashMap<>(identity);
        incident.put("id", "jvm-" + UUID.randomUUID()); // so that a second attempt is not a second incident
        incident.put("timestamp", Instant.now().toString());
        incident.put("severity", isOom || isMain ? "critical" : "high");
        incident.put("type", isOom ? "oom" : isMain ? "crash" : "error");
        incident.put("message", cut(error.toString(), MESSAGE));
        incident.put("context", Map.of(
                "exception", error.getClass().getName(),
                "thread", cut(thread.getName(), 100),
                "stack", cut(stackOf(error), STACK)));
        return deliver("/api/v1/incident", incident);
    }

    /** Tries until it is accepted, or trying again is of no use. For the last words of a process. */
    private boolean deliver(String path, Map<String, Object> body) {
        Instant deadline = Instant.now().plus(PATIENCE);
        while (true) {
            Answer answer = post(path, body);
            if (answer.isAccepted()) {
                return true;
            }
            Duration wait = answer.wait.orElse(Duration.ofSeconds(1));
            if (!answer.isForNow() || Instant.now().plus(wait).isAfter(deadline)) {
                return false;
            }
            try {
                Thread.sleep(wait.toMillis());
            } catch (InterruptedException end) {
                return false;
            }
        }
    }

    private Answer post(String path, Map<String, Object> body) {
        try {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url + path))
                    .timeout(TIMEOUT)
                    .header("Authorization", "Bearer " + credential())
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(json(body)))
                    .build();
            HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
            if (response.statusCode() >= 300) {
                log(path + ": " + response.statusCode() + " " + cut(response.body(), 500));
            }
            Optional<Duration> wait = response.headers().firstValue("Retry-After")
                    .filter(text -> text.matches("[0-9]{1,9}"))
                    .map(text -> Duration.ofSeconds(Long.parseLong(text)))
                    .map(asked -> asked.compareTo(LONGEST_WAIT) < 0 ? asked : LONGEST_WAIT);
            return new Answer(response.statusCode(), wait);
        } catch (IOException | RuntimeException error) { // whatever it is, the application is not to notice
            log(path + ": " + error);
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
        return new Answer(0, Optional.empty());
    }

    /** Read each time: the kubelet writes a new token before the old one expires. */
    private static String credential() throws IOException {
        String key = env("BLACKBOX_API_KEY", "");
        if (!key.isEmpty()) {
            return key.strip();
        }
        String file = env("BLACKBOX_TOKEN_FILE", "");
        if (file.isEmpty()) {
            throw new IllegalStateException("neither BLACKBOX_API_KEY nor BLACKBOX_TOKEN_FILE is set");
        }
        return Files.readString(Path.of(file)).strip();
    }

    /** This container's id, if its cgroup tells. With a cgroup namespace of its own it does not. */
    private static Optional<String> containerId() {
        try {
            String cgroup = Files.readString(Path.of("/proc/self/cgroup"));
            return Pattern.compile("[0-9a-f]{64}").matcher(cgroup).results().map(MatchResult::group)
                    .reduce((first, second) -> second);
        } catch (IOException error) {
            return Optional.empty(); // no Linux
        }
    }

    private static Optional<Long> openSockets() {
        try (var files = Files.list(Path.of("/proc/self/fd"))) {
            return Optional.of(files.filter(Sidecar::isSocket).count());
        } catch (IOException error) {
            return Optional.empty();
        }
    }

    private static boolean isSocket(Path file) {
        try {
            return Files.readSymbolicLink(file).toString().startsWith("socket:");
        } catch (IOException error) {
            return false; // closed since it was listed
        }
    }

    /** Maps, collections, numbers and texts as JSON. (Half a surrogate pair becomes a `?` when it is sent as UTF-8.) */
    private static String json(Object value) {
        if (value instanceof Map) {
            return ((Map<?, ?>) value).entrySet().stream()
                    .map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof Collection) {
            return ((Collection<?>) value).stream().map(Sidecar::json).collect(Collectors.joining(",", "[", "]"));
        }
        if (value instanceof Number) {
            return value.toString();
        }
        StringBuilder text = new StringBuilder("\"");
        for (char c : String.valueOf(value).toCharArray()) {
            if (c == '"' || c == '\\') {
                text.append('\\').append(c);
            } else if (c < ' ') {
                text.append(String.format("\\u%04x", (int) c));
            } else {
                text.append(c);
            }
        }
        return text.append('"').toString();
    }

    private static String stackOf(Throwable error) {
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text, true));
        return text.toString();
    }

    private static String cut(String text, int most) {
        return text.length() <= most ? text : text.substring(0, most);
    }

    private static long interval() {
        String text = env("BLACKBOX_INTERVAL", "");
        return text.matches("[1-9][0-9]{0,5}") ? Long.parseLong(text) : 10;
    }

    private static String env(String key, String otherwise) {
        String value = System.getenv(key);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    private static void log(String text) {
        System.err.println("sidecar: " + text);
    }

    public static void main(String[] arguments) throws InterruptedException {
        if (List.of(arguments).equals(List.of("--once"))) {
            Sidecar sidecar = new Sidecar();
            boolean isSent = sidecar.deliver("/api/v1/telemetry", sidecar.sample());
            Exception trial = new IllegalStateException("a trial of the sidecar: nothing crashed");
            boolean isReported = sidecar.report(Thread.currentThread(), trial);
            System.exit(isSent && isReported ? 0 : 1);
        }
        start();
        Thread.currentThread().join(); // for ever: SIGTERM runs the shutdown hook
    }
}
