using Kvcached.Actors.Engines;

namespace Kvcached.TraceReplay.Engine;

/// <summary>A pool that may lose all its data, be opened anew under the same name, and go on.</summary>
internal interface IResettablePool : IEnginePool
{
    /// <summary>
    /// True once after each loss: no block handed out before is the engine's any more. Until it was asked, nothing is handed out, and what concerns old
    /// blocks is ignored.
    /// </summary>
    bool TakeReset();
}
