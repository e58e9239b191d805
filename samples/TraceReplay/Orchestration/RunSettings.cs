using System.Collections.Immutable;
using System.ComponentModel;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Chaos.Faults;
using Kvcached.TraceReplay.Engine;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.TraceReplay.Orchestration;

/// <summary>Options of a whole run.</summary>
internal sealed class RunSettings : CommandSettings
{
    [CommandOption("--hosts <N>")]
    [Description("Host processes, one per GPU; the 8B models are split over all of them. With 1 host they are not split")]
    [DefaultValue(2)]
    public int Hosts { get; init; } = 2;

    [CommandOption("--minutes <M>")]
    [Description("Minutes of trace time in which requests arrive")]
    [DefaultValue(5.0)]
    public double Minutes { get; init; } = 5;

    [CommandOption("--speed <X>")]
    [Description("Trace time per real time. Arrivals, decode steps and prompts all go X times as fast; steps that become shorter than 20 ms are taken several at a turn, so load on memory stays the trace's, X times as fast. A machine that can't follow finishes later, and says so")]
    [DefaultValue(1.0)]
    public double Speed { get; init; } = 1;

    [CommandOption("--backend <BACKEND>")]
    [Description("cuda, host (main memory in place of GPU memory) or auto: cuda if there are enough GPUs")]
    [DefaultValue("auto")]
    public string Backend { get; init; } = "auto";

    [CommandOption("--memory <SIZE>")]
    [Description("Memory that each host lends. Default: estimated from the traces, so that it is less than fixed shares for each model would take, but seldom too little")]
    public string? Memory { get; init; }

    [CommandOption("--layers <N>")]
    [Description("Layers of the 8B models, of 32; the small one is cut in proportion. Fewer layers take less memory for the same traffic")]
    [DefaultValue(4)]
    public int Layers { get; init; } = 4;

    [CommandOption("--full")]
    [Description("All 32 layers")]
    public bool IsFull { get; init; }

    [CommandOption("--decode-step-ms <MS>")]
    [Description("Milliseconds of trace time in which each running request gains a token")]
    [DefaultValue(25.0)]
    public double DecodeStepMilliseconds { get; init; } = 25;

    [CommandOption("--prefill-tokens-per-second <N>")]
    [Description("Prompt tokens that an engine computes per second of trace time")]
    [DefaultValue(20_000.0)]
    public double PrefillTokensPerSecond { get; init; } = 20_000;

    [CommandOption("--drain-seconds <S>")]
    [Description("Real seconds that requests still have after the last arrivals")]
    [DefaultValue(120.0)]
    public double DrainSeconds { get; init; } = 120;

    [CommandOption("--management-port <PORT>")]
    [Description("Port of the first host's page and management on loopback, which kvctl asks. Default: a free one, which is said")]
    [DefaultValue(0)]
    public int ManagementPort { get; init; }

    [CommandOption("--chaos")]
    [Description("Kills, stops and cuts off hosts, schedulers and workers, each a process of its own, at seeded moments, and checks after each fault that nothing is lost. In 2 minutes or more each kind of fault comes at least once")]
    public bool IsChaos { get; init; }

    [CommandOption("--faults <KINDS>")]
    [Description("Kinds of faults of chaos mode, with commas between. Default: all of them")]
    public string? Faults { get; init; }

    [CommandOption("--seed <N>")]
    [Description("Seed of the schedule of faults, and of the choice of blocks that are checked in every word; in chaos mode all are")]
    [DefaultValue(1)]
    public int Seed { get; init; } = 1;

    [CommandOption("--json <FILE>")]
    [Description("Writes a summary of the run")]
    public string? Json { get; init; }

    [CommandOption("--chart <FILE>")]
    [Description("Writes a chart of memory over time, as PNG")]
    [DefaultValue("demo.png")]
    public string Chart { get; init; } = "demo.png";

    [CommandOption("--bin <DIR>")]
    [Description("Directory with Kvcached.Host and kvcached-copier. Default: beside this program, then the repository's build")]
    public string? Bin { get; init; }

    [CommandOption("--no-live")]
    [Description("A line of progress now and then in place of the live display")]
    public bool IsPlain { get; init; }

    [CommandOption("--conv-trace <FILE>")]
    [Description("Trace of the conversation models. Default: the one in samples/traces")]
    public string? ConversationTrace { get; init; }

    [CommandOption("--code-trace <FILE>")]
    [Description("Trace of the code model. Default: the one in samples/traces")]
    public string? CodeTrace { get; init; }

    /// <summary>Layers of the deepest models.</summary>
    public int LayerCount => IsFull ? Models.ReplayModels.Llama8B.LayerCount : Layers;

    /// <summary>Memory per host in bytes, or null for the estimate.</summary>
    public long? MemoryBytes => Memory is not null && ByteSize.TryParse(Memory, out var bytes) ? bytes : null;

    /// <summary>Kinds of faults that are wanted; null when a name is none.</summary>
    public ImmutableArray<FaultKind>? FaultKindsWanted => Faults is null ? [.. FaultKinds.All] : FaultKinds.Parse(Faults);

    public override ValidationResult Validate() =>
        Hosts is < 1 or > 64 ? ValidationResult.Error($"--hosts {Hosts}: use 1 to 64.")
        : ManagementPort is < 0 or > 65535 ? ValidationResult.Error($"--management-port {ManagementPort}: use 0 to 65535.")
        : Layers is < 1 or > 32 ? ValidationResult.Error($"--layers {Layers}: use 1 to 32.")
        : Backend is not ("auto" or "cuda" or "host") ? ValidationResult.Error($"--backend {Backend}: use auto, cuda or host.")
        : Memory is not null && MemoryBytes is null or < 64 * ByteSize.MiB ? ValidationResult.Error($"--memory {Memory}: use a size of at least 64MiB, such as 2GiB.")
        : FaultKindsWanted is null ? ValidationResult.Error($"--faults {Faults}: use some of {string.Join(",", FaultKinds.All.Select(FaultKinds.NameOf))}.")
        : string.IsNullOrWhiteSpace(Chart) ? ValidationResult.Error("--chart needs a file name.")
        : ReplayLimits.FindProblem(Minutes, Speed, DecodeStepMilliseconds, PrefillTokensPerSecond, DrainSeconds) is { } problem ? ValidationResult.Error(problem)
        : ValidationResult.Success();
}
