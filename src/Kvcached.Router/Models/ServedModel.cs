using Kvcached.Router.Traffic;

namespace Kvcached.Router.Models;

/// <summary>A configured model with all that is known of it.</summary>
internal sealed record ServedModel(ModelGate Gate, ModelTraffic Traffic)
{
    public string Name => Gate.Route.Name;
}
