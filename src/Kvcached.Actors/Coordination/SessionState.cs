using Kvcached.Core.Engines;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <summary>One engine's session: its lease, and its answers, kept until it has acknowledged them.</summary>
internal sealed class SessionState(SessionId id, string engineName, TimeSpan leaseEnds)
{
    private readonly Dictionary<long, (EngineProtocol.IRequest Body, EngineProtocol.IReply? Answer)> _requests = [];
    private long _ackedThrough;

    /// <summary>What to do with a request that has come in.</summary>
    public enum Verdict
    {
        /// <summary>New: carry it out and call <see cref="Remember"/> with its answer.</summary>
        Fresh,

        /// <summary>Being carried out already; its answer will come.</summary>
        Pending,

        /// <summary>Answered already: send the same answer.</summary>
        Answered,

        /// <summary>The id was used for another body, or its answer was acknowledged.</summary>
        Reused,

        /// <summary>Too many answers wait to be acknowledged.</summary>
        TooMany,
    }

    public SessionId Id { get; } = id;

    public string EngineName { get; set; } = engineName;

    /// <summary>When the session ends unless it is renewed, on the coordinator's clock.</summary>
    public TimeSpan LeaseEnds { get; set; } = leaseEnds;

    public HashSet<PoolId> Pools { get; } = [];

    public Verdict Admit(EngineProtocol.IRequest request, int maxUnacked, out EngineProtocol.IReply? answer)
    {
        answer = null;
        Acknowledge(request.AckedThrough.Value);
        if (_requests.TryGetValue(request.Request.Value, out var known))
        {
            if (!RequestBodies.AreSame(known.Body, request))
            {
                return Verdict.Reused;
            }

            answer = known.Answer;
            return known.Answer is null ? Verdict.Pending : Verdict.Answered;
        }

        if (request.Request.Value <= _ackedThrough)
        {
            return Verdict.Reused;
        }

        if (_requests.Count >= maxUnacked)
        {
            return Verdict.TooMany;
        }

        _requests.Add(request.Request.Value, (request, null));
        return Verdict.Fresh;
    }

    /// <summary>Keeps the answer, to be given again under the same id.</summary>
    public void Remember(EngineProtocol.IReply answer)
    {
        if (_requests.TryGetValue(answer.Request.Value, out var known))
        {
            _requests[answer.Request.Value] = (known.Body, answer);
        }
    }

    /// <summary>Forgets acknowledged answers. The watermark never passes a request that is still being carried out.</summary>
    private void Acknowledge(long through)
    {
        if (through <= _ackedThrough)
        {
            return;
        }

        var watermark = through;
        foreach (var (id, known) in _requests)
        {
            if (id > through)
            {
                continue;
            }

            if (known.Answer is null)
            {
                watermark = Math.Min(watermark, id - 1);
            }
            else
            {
                _requests.Remove(id);
            }
        }

        _ackedThrough = Math.Max(_ackedThrough, watermark);
    }
}
