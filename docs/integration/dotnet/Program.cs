// Tells the BlackBox daemon of this node what a .NET process measures of itself, and reports its crash.
//
//   In an application:  using var sidecar = Sidecar.Start();       (with the class below in a file of its own)
//   To try it out:      dotnet run [-- --once]
//
// Needs .NET 8. Reads BLACKBOX_URL (or NODE_IP), BLACKBOX_API_KEY or BLACKBOX_TOKEN_FILE, POD_NAME, POD_NAMESPACE,
// BLACKBOX_INTERVAL. Nothing in here throws into the application, or keeps it from ending.

using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.NetworkInformation;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

if (args is ["--once"])
{
    using var sidecar = new Sidecar();
    var isSent = sidecar.Deliver("/api/v1/telemetry", sidecar.Sample());
    var isReported = sidecar.Report(new InvalidOperationException("a trial of the sidecar: nothing crashed"));
    return isSent && isReported ? 0 : 1;
}

using (Sidecar.Start())
{
    using var stop = new ManualResetEventSlim();
    void End(PosixSignalContext context)
    {
        context.Cancel = true; // it ends by returning from here
        stop.Set();
    }
    using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
    using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
    stop.Wait();
}
return 0;

/// <summary>Measures this process and speaks to the daemon. Every thread may use it.</summary>
public sealed class Sidecar : IDisposable
{
    private const int MostQueued = 60; // objects kept while the daemon cannot take them; then the oldest go
    private const int MostMessage = 4_000; // characters: at most 16 KiB as UTF-8, which is the daemon's bound
    private const int MostStack = 10_000; // characters: at most 60 KB even if JSON has to escape each; bound 64 KiB
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(3); // for one request
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15); // that a dying process gives its report
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(5); // whatever Retry-After says

    private readonly string url = Env("BLACKBOX_URL") ?? $"http://{Env("NODE_IP") ?? "127.0.0.1"}:8080";
    private readonly TimeSpan interval = TimeSpan.FromSeconds(
        int.TryParse(Env("BLACKBOX_INTERVAL"), out var seconds) && seconds is >= 1 and <= 86_400 ? seconds : 10);
    private readonly string? containerId = ContainerId();
    // The daemon is on this node: never by way of a proxy.
    private readonly HttpClient client = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = Timeout };
    private readonly ManualResetEventSlim stopping = new();
    private long exceptions;

    private readonly object door = new(); // guards all that follows
    private readonly Queue<JsonObject> queue = new();
    private DateTimeOffset notBefore = DateTimeOffset.MinValue;
    private long dropped;
    private long errors;

    /// <summary>What came of a request: status 0 is no answer at all; Wait is what Retry-After asks for.</summary>
    private readonly record struct Answer(int Status, TimeSpan? Wait)
    {
        public bool IsAccepted => Status is >= 200 and < 300;
        public bool IsRefused => Status is 400 or 413 or 415; // it would be refused again
        public bool IsForNow => Status is 0 or 408 or 429 or >= 500;
    }

    /// <summary>Measures in the background from now on, and reports what nobody catches.</summary>
    public static Sidecar Start()
    {
        var sidecar = new Sidecar();
        AppDomain.CurrentDomain.FirstChanceException += (_, _) => Interlocked.Increment(ref sidecar.exceptions);
        // The process ends after this, as it would have without us.
        AppDomain.CurrentDomain.UnhandledException += (_, thrown) => sidecar.LastWords(thrown.ExceptionObject);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => sidecar.Flush();
        new Thread(sidecar.Run) { Name = "blackbox", IsBackground = true }.Start();
        return sidecar;
    }

    /// <summary>Ends the measuring, and sends what is left.</summary>
    public void Dispose()
    {
        stopping.Set();
        Flush();
    }

    /// <summary>The daemon takes an entry's type from words in its key: memory, heap, gc, cpu, thread, connection, clr,
    /// exception, error.</summary>
    private JsonObject Measure()
    {
        using var process = Process.GetCurrentProcess();
        var memory = GC.GetGCMemoryInfo();
        var data = new JsonObject
        {
            ["memory_working_set_bytes"] = process.WorkingSet64,
            ["memory_limit_bytes"] = memory.TotalAvailableMemoryBytes,
            ["heap_used_bytes"] = GC.GetTotalMemory(forceFullCollection: false),
            ["heap_fragmented_bytes"] = memory.FragmentedBytes,
            ["gc_collections_gen0_total"] = GC.CollectionCount(0),
            ["gc_collections_gen2_total"] = GC.CollectionCount(2),
            ["gc_pause_ms_total"] = GC.GetTotalPauseDuration().TotalMilliseconds,
            ["cpu_seconds_total"] = process.TotalProcessorTime.TotalSeconds,
            ["threads"] = process.Threads.Count,
            ["thread_pool_threads"] = ThreadPool.ThreadCount,
            ["thread_pool_queued"] = ThreadPool.PendingWorkItemCount,
            ["clr_version"] = Environment.Version.ToString(),
            ["clr_uptime_seconds"] = (long)(DateTime.Now - process.StartTime).TotalSeconds,
            ["exceptions_thrown_total"] = Interlocked.Read(ref exceptions),
        };
        try
        {
            data["connections_in_pod"] = IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpConnections().Length;
        }
        catch (NetworkInformationException)
        {
            // Absent is not zero.
        }
        lock (door)
        {
            data["telemetry_errors_total"] = errors;
            data["telemetry_dropped_total"] = dropped;
        }
        return data;
    }

    /// <summary>One telemetry object, measured now.</summary>
    public JsonObject Sample()
    {
        var sample = AboutThisPod();
        sample["runtime"] = "dotnet";
        sample["data"] = Measure();
        return sample;
    }

    private JsonObject AboutThisPod() => new()
    {
        ["pod_name"] = Env("POD_NAME"),
        ["namespace"] = Env("POD_NAMESPACE"),
        ["container_id"] = containerId,
        ["timestamp"] = DateTimeOffset.UtcNow.ToString("o"),
    };

    private void Run()
    {
        do
        {
            try
            {
                Keep(Sample());
                Flush();
            }
            catch (Exception error)
            {
                Log(error.Message);
            }
        }
        while (!stopping.Wait(interval));
    }

    private void Keep(JsonObject sample)
    {
        lock (door)
        {
            queue.Enqueue(sample);
            while (queue.Count > MostQueued)
            {
                queue.Dequeue();
                dropped++;
            }
        }
    }

    /// <summary>Sends all that is queued as one batch. What the daemon does not take now stays for the next
    /// time.</summary>
    public void Flush()
    {
        lock (door)
        {
            if (queue.Count == 0 || DateTimeOffset.UtcNow < notBefore)
            {
                return;
            }
            // Clones: a JSON node can have one parent only, and these may be needed again.
            var entries = new JsonArray(queue.Select(sample => sample.DeepClone()).ToArray());
            var answer = Post("/api/v1/telemetry", new JsonObject { ["entries"] = entries });
            notBefore = DateTimeOffset.UtcNow + (answer.Wait ?? TimeSpan.Zero);
            errors += answer.IsAccepted ? 0 : 1;
            dropped += answer.IsRefused ? queue.Count : 0;
            if (answer.IsAccepted || answer.IsRefused)
            {
                queue.Clear();
            }
        }
    }

    private void LastWords(object thrown)
    {
        try
        {
            Keep(Sample());
            Flush();
            Report(thrown as Exception ?? new Exception(thrown.ToString()));
        }
        catch (Exception error)
        {
            Log(error.Message);
        }
    }

    /// <summary>Reports an exception as an incident. True if the daemon took it.</summary>
    public bool Report(Exception error)
    {
        var incident = AboutThisPod();
        incident["id"] = $"dotnet-{Guid.NewGuid()}"; // so that a second attempt is not a second incident
        incident["severity"] = "critical";
        incident["type"] = error is OutOfMemoryException ? "oom" : "crash";
        incident["message"] = Cut($"{error.GetType().Name}: {error.Message}", MostMessage);
        incident["context"] = new JsonObject
        {
            ["exception"] = error.GetType().FullName,
            ["stack"] = Cut(error.ToString(), MostStack),
        };
        return Deliver("/api/v1/incident", incident);
    }

    /// <summary>Tries until it is accepted, or trying again is of no use. For the last words of a process.</summary>
    public bool Deliver(string path, JsonObject body)
    {
        var deadline = DateTimeOffset.UtcNow + Patience;
        while (true)
        {
            var answer = Post(path, body);
            if (answer.IsAccepted)
            {
                return true;
            }
            var wait = answer.Wait ?? TimeSpan.FromSeconds(1);
            if (!answer.IsForNow || DateTimeOffset.UtcNow + wait > deadline)
            {
                return false;
            }
            Thread.Sleep(wait);
        }
    }

    // Blocks, for the process may be about to end: no task of the thread pool is needed for an answer.
    private Answer Post(string path, JsonObject body)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, url + path);
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Credential());
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
            using var response = client.Send(request);
            var status = (int)response.StatusCode;
            if (!response.IsSuccessStatusCode)
            {
                using var text = new StreamReader(response.Content.ReadAsStream());
                Log($"{path}: {status} {Cut(text.ReadToEnd(), 500)}");
            }
            var wait = response.Headers.RetryAfter?.Delta;
            return new Answer(status, wait > LongestWait ? LongestWait : wait);
        }
        catch (Exception error) // whatever it is, the application is not to notice
        {
            Log($"{path}: {error.Message}");
            return new Answer(0, null);
        }
    }

    // Read each time: the kubelet writes a new token before the old one expires.
    private static string Credential()
    {
        if (Env("BLACKBOX_API_KEY") is { } key)
        {
            return key.Trim();
        }
        var file = Env("BLACKBOX_TOKEN_FILE")
            ?? throw new InvalidOperationException("neither BLACKBOX_API_KEY nor BLACKBOX_TOKEN_FILE is set");
        return File.ReadAllText(file).Trim();
    }

    /// <summary>This container's id, if its cgroup tells. With a cgroup namespace of its own it does not.</summary>
    private static string? ContainerId()
    {
        try
        {
            return Regex.Matches(File.ReadAllText("/proc/self/cgroup"), "[0-9a-f]{64}").LastOrDefault()?.Value;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null; // no Linux
        }
    }

    /// <summary>At most so many characters, and no half of a surrogate pair: that is no JSON.</summary>
    private static string Cut(string text, int most) =>
        Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text.Length <= most ? text : text[..most]));

    private static string? Env(string key) =>
        Environment.GetEnvironmentVariable(key) is { Length: > 0 } value ? value : null;

    private static void Log(string text) => Console.Error.WriteLine($"sidecar: {text}");
}
