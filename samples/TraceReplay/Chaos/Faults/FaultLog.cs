using System.Collections.Immutable;
using Kvcached.TraceReplay.Reporting;

namespace Kvcached.TraceReplay.Chaos.Faults;

/// <summary>What came of one fault.</summary>
/// <param name="Kind">What was done.</param>
/// <param name="Target">To what, for people.</param>
/// <param name="RecoverySeconds">From the fault until every pool concerned granted and verified again; null when one never did.</param>
/// <param name="Problem">Why not; null when all did.</param>
internal sealed record FaultOutcome(FaultKind Kind, string Target, double? RecoverySeconds, string? Problem);

/// <summary>The faults of a run so far.</summary>
internal sealed class FaultLog
{
    private readonly List<FaultOutcome> _outcomes = [];

    public IReadOnlyList<FaultOutcome> Outcomes => _outcomes;

    /// <summary>Faults by kind; kinds that were possible and never came count 0.</summary>
    public ImmutableSortedDictionary<string, int> Injected(IEnumerable<FaultKind> possible) =>
        possible.ToImmutableSortedDictionary(FaultKinds.NameOf, kind => _outcomes.Count(outcome => outcome.Kind == kind));

    /// <summary>Those of them that were recovered from.</summary>
    public ImmutableSortedDictionary<string, int> Recoveries => ByKind(seconds => seconds.Length);

    public ImmutableSortedDictionary<string, double> RecoverySecondsP50 => ByKind(seconds => Percentile.Of(seconds, 50));

    public ImmutableSortedDictionary<string, double> RecoverySecondsMax => ByKind(seconds => seconds.Max());

    public void Add(FaultOutcome outcome) => _outcomes.Add(outcome);

    private ImmutableSortedDictionary<string, T> ByKind<T>(Func<double[], T> measure) => _outcomes
        .Where(outcome => outcome.RecoverySeconds is not null)
        .GroupBy(outcome => outcome.Kind, outcome => outcome.RecoverySeconds!.Value)
        .ToImmutableSortedDictionary(group => FaultKinds.NameOf(group.Key), group => measure([.. group]));
}
