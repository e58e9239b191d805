namespace Kvcached.Actors.Coordination;

/// <summary>Key of the actor registry under which every host finds the way to its domain's coordinator.</summary>
public sealed class CoordinatorProxy
{
    private CoordinatorProxy()
    {
    }
}
