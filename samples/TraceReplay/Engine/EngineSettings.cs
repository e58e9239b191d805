using System.ComponentModel;
using Kvcached.Core.Ids;
using Kvcached.Core.Units;
using Kvcached.TraceReplay.Models;
using Spectre.Console;
using Spectre.Console.Cli;

namespace Kvcached.TraceReplay.Engine;

/// <summary>Options of one engine process.</summary>
internal sealed class EngineSettings : CommandSettings
{
    [CommandOption("--name <NAME>")]
    [Description("Name of the engine and of its pool")]
    public string Name { get; init; } = string.Empty;

    [CommandOption("--model <MODEL>")]
    [Description("llama-3.1-8b or llama-3.2-1b")]
    public string Model { get; init; } = ReplayModels.Llama8B.Name;

    [CommandOption("--layers <N>")]
    [Description("Layers of the model; 0 = all of them")]
    public int Layers { get; init; }

    [CommandOption("--gpus <IDS>")]
    [Description("Ids of its GPUs in rank order, with commas between")]
    public string Gpus { get; init; } = string.Empty;

    [CommandOption("--hosts <ADDRESSES>")]
    [Description("Addresses (host:port) of hosts of the domain, with commas between")]
    public string Hosts { get; init; } = string.Empty;

    [CommandOption("--domain <NAME>")]
    [Description("Domain of the hosts")]
    [DefaultValue("demo")]
    public string Domain { get; init; } = "demo";

    [CommandOption("--virtual <SIZE>")]
    [Description("Virtual room on each GPU; costs no memory")]
    [DefaultValue("64GiB")]
    public string Virtual { get; init; } = "64GiB";

    [CommandOption("--trace <FILE>")]
    [Description("The trace to replay")]
    public string Trace { get; init; } = string.Empty;

    [CommandOption("--offset-minutes <M>")]
    [Description("Where in the trace the window begins")]
    public double OffsetMinutes { get; init; }

    [CommandOption("--minutes <M>")]
    [Description("Length of the window")]
    [DefaultValue(5.0)]
    public double Minutes { get; init; } = 5;

    [CommandOption("--speed <X>")]
    [DefaultValue(1.0)]
    public double Speed { get; init; } = 1;

    [CommandOption("--decode-step-ms <MS>")]
    [DefaultValue(25.0)]
    public double DecodeStepMilliseconds { get; init; } = 25;

    [CommandOption("--prefill-tokens-per-second <N>")]
    [DefaultValue(20_000.0)]
    public double PrefillTokensPerSecond { get; init; } = 20_000;

    [CommandOption("--drain-seconds <S>")]
    [DefaultValue(120.0)]
    public double DrainSeconds { get; init; } = 120;

    [CommandOption("--seed <N>")]
    [DefaultValue(1)]
    public int Seed { get; init; } = 1;

    public string[] GpuIds => Split(Gpus);

    public string[] HostAddresses => Split(Hosts);

    public override ValidationResult Validate() =>
        Name.Length is 0 or > 64 ? ValidationResult.Error("--name has 1 to 64 characters.")
        : ReplayModels.Find(Model) is null ? ValidationResult.Error($"--model {Model}: there is no such model; use {string.Join(" or ", ReplayModels.All.Select(m => m.Name))}.")
        : Layers is < 0 or > 1024 ? ValidationResult.Error($"--layers {Layers}: use 1 to 1024, or 0 for all.")
        : GpuIds.Length == 0 || !GpuIds.All(id => GpuId.TryParse(id, out _)) ? ValidationResult.Error("--gpus needs at least one GPU id.")
        : HostAddresses.Length == 0 ? ValidationResult.Error("--hosts needs at least one host:port.")
        : !ByteSize.TryParse(Virtual, out var room) || room == 0 ? ValidationResult.Error($"--virtual {Virtual}: use a size such as 64GiB.")
        : !(OffsetMinutes is >= 0 and <= 1e6) ? ValidationResult.Error("--offset-minutes is 0 or more.")
        : ReplayLimits.FindProblem(Minutes, Speed, DecodeStepMilliseconds, PrefillTokensPerSecond, DrainSeconds) is { } problem ? ValidationResult.Error(problem)
        : ValidationResult.Success();

    private static string[] Split(string list) => list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
