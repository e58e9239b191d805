namespace Kvcached.TraceReplay.Engine;

/// <summary>How an engine replays its trace.</summary>
internal sealed record ReplayOptions
{
    /// <summary>Seconds of trace time per second of real time; above 0.</summary>
    public double Speed { get; init; } = 1;

    /// <summary>Trace time in which every running sequence gains one token. Default 25 ms.</summary>
    public TimeSpan DecodeStep { get; init; } = TimeSpan.FromMilliseconds(25);

    /// <summary>Real time that one turn of the engine takes at least; faster steps are taken several at a turn. Default 20 ms.</summary>
    public TimeSpan MinimumTurn { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Prompt tokens computed per second of trace time. Default 20,000.</summary>
    public double PrefillTokensPerSecond { get; init; } = 20_000;

    /// <summary>Most sequences that run at a time. Default 256.</summary>
    public int MaxRunningSequences { get; init; } = 256;

    /// <summary>Share of the blocks that are stamped and checked in every word, 0 to 1. Default 2 %.</summary>
    public double WholeShare { get; init; } = 0.02;

    /// <summary>Seed of the choice of those blocks.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Length of the window of arrivals, in trace time.</summary>
    public TimeSpan Window { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Real time that requests still have after the last arrivals; what isn't finished then is reported as unfinished.</summary>
    public TimeSpan DrainLimit { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Real time between two reports. Default 250 ms.</summary>
    public TimeSpan ReportInterval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Real time between two looks at warm pages. Default 500 ms.</summary>
    public TimeSpan TrimInterval { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Trace time after which an extent without used blocks counts as idle. Default 2 s.</summary>
    public TimeSpan IdleDecay { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Decode steps in one turn: 1, or as many as fill <see cref="MinimumTurn"/>.</summary>
    public int StepsPerTurn => Math.Max(1, (int)Math.Ceiling(MinimumTurn * Speed / DecodeStep));

    /// <summary>Real time of one turn.</summary>
    public TimeSpan Turn => DecodeStep * StepsPerTurn / Speed;
}
