using Kvcached.Router.Models;

namespace Kvcached.Router.Configuration;

/// <summary>Reads when and how a model sleeps; what its engine can't do is refused here, not met at night.</summary>
internal static class SleepReader
{
    private const string Never = "never";

    private static readonly TimeSpan MaxTime = TimeSpan.FromHours(24);

    public static SleepSettings Read(SleepEntry? entry, EntryReader read)
    {
        if (entry is null)
        {
            return new SleepSettings(
                EngineKind.Other, null, TimeSpan.Zero, [], KvWhileAsleep.Drop, WeightsWhileAsleep.Keep, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, null);
        }

        var engine = ReadEngine(entry.Engine, read);
        var settings = new SleepSettings(
            engine,
            entry.After == Never ? null : read.Time("sleep.after", entry.After, TimeSpan.FromSeconds(1), MaxTime),
            read.Time("sleep.minimumAwake", entry.MinimumAwake, TimeSpan.Zero, MaxTime),
            read.Schedule("sleep.schedule", entry.Schedule ?? []),
            ReadKv(entry.Kv, read),
            ReadWeights(entry.Weights, engine, read),
            read.Time("sleep.drainDeadline", entry.DrainDeadline, TimeSpan.FromSeconds(1), MaxTime),
            read.Time("sleep.callTimeout", entry.CallTimeout, TimeSpan.FromSeconds(1), MaxTime),
            read.Time("sleep.expectedWake", entry.ExpectedWake, TimeSpan.Zero, MaxTime),
            entry.ModelPath);
        RefuseImpossible(settings, read);
        return settings;
    }

    private static void RefuseImpossible(SleepSettings settings, EntryReader read)
    {
        if (settings is { Kv: KvWhileAsleep.Host, Engine: EngineKind.Vllm or EngineKind.Sglang })
        {
            read.Refuse("sleep.kv", "host", "drop, since this engine drops its KV data when it sleeps");
        }

        if (settings is { Engine: EngineKind.Kvcached, Weights: WeightsWhileAsleep.EngineLevel1 })
        {
            read.Refuse("sleep.weights", "engine-level-1", "keep or engine-level-2, since this engine has no other place for weights");
        }

        if (settings is { Engine: EngineKind.Sglang, Weights: WeightsWhileAsleep.EngineLevel2 } && string.IsNullOrWhiteSpace(settings.ModelPath))
        {
            read.Refuse("sleep.modelPath", settings.ModelPath, "what SGLang is to load weights from again, with engine-level-2");
        }
    }

    private static EngineKind ReadEngine(string? value, EntryReader read)
    {
        switch (value)
        {
            case "vllm": return EngineKind.Vllm;
            case "sglang": return EngineKind.Sglang;
            case "kvcached": return EngineKind.Kvcached;
            default:
                read.Refuse("sleep.engine", value, "vllm, sglang or kvcached");
                return EngineKind.Other;
        }
    }

    private static KvWhileAsleep ReadKv(string? value, EntryReader read)
    {
        switch (value)
        {
            case "drop": return KvWhileAsleep.Drop;
            case "host": return KvWhileAsleep.Host;
            default:
                read.Refuse("sleep.kv", value, "drop or host");
                return KvWhileAsleep.Drop;
        }
    }

    private static WeightsWhileAsleep ReadWeights(string? value, EngineKind engine, EntryReader read)
    {
        switch (value)
        {
            case null: return engine == EngineKind.Kvcached ? WeightsWhileAsleep.Keep : WeightsWhileAsleep.EngineLevel1;
            case "keep": return WeightsWhileAsleep.Keep;
            case "engine-level-1": return WeightsWhileAsleep.EngineLevel1;
            case "engine-level-2": return WeightsWhileAsleep.EngineLevel2;
            default:
                read.Refuse("sleep.weights", value, "keep, engine-level-1 or engine-level-2");
                return WeightsWhileAsleep.Keep;
        }
    }
}
